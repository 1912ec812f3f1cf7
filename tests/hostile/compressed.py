"""Compressed files for /decompress that are damaged, lie, or belong to another model."""

import struct
import zlib
from collections.abc import Iterator

from tests.hostile.case import Case

DAMAGED = (422, "damaged-file")
FOREIGN = (415, "foreign-file")
OTHER = (409, "other-model")

_FILE = "application/vnd.zserve.images"


def file(
    model: bytes = b"exact@1",
    arithmetic: bytes = b"exact-1",
    images: int = 1,
    shape: tuple[int, int, int] = (1, 9, 8),
    rest: bytes = b"\xff" * 40,
) -> bytes:
    """Return a file with a checksum that fits; the network is unknown."""
    head = b"\x89ZSBB\n\1" + bytes([len(arithmetic)]) + arithmetic + bytes([len(model)]) + model
    body = head + bytes(8) + struct.pack("<IBHH", images, *shape) + rest
    return body + struct.pack("<I", zlib.crc32(body))


def cases() -> Iterator[Case]:
    for name, content, answer in contents():
        yield Case(f"{name}.zsi", content, *answer, "/decompress", _FILE)


def contents() -> Iterator[tuple[str, bytes, tuple[int, str]]]:
    whole = file()
    for name, content in {
        "magic_cut": whole[:5],
        "png": b"\x89PNG\r\n\x1a\n" + bytes(40),
        "version_0": whole[:6] + b"\0" + whole[7:],
        "version_255": whole[:6] + b"\xff" + whole[7:],
    }.items():
        yield name, content, FOREIGN
    for name, content in {
        "magic_only": whole[:6],
        "arithmetic_cut": whole[:10],
        "arithmetic_not_ascii": file(arithmetic=b"exact-\xff"),
        "model_cut": whole[:18],
        "model_not_ascii": file(b"\xff@1"),
        "model_empty": file(b""),
        "model_traversal": file(b"../../etc/passwd@1"),
        "model_nul": file(b"exact\0@1"),
        "model_alias": file(b"exact@production"),
        "model_without_version": file(b"exact"),
        "model_version_0": file(b"exact@0"),
        "model_of_255_characters": file(b"e" * 253 + b"@1"),
        "header_cut": whole[:30],
        "no_image": file(images=0),
        "no_channel": file(shape=(0, 9, 8)),
        "no_row": file(shape=(1, 0, 8)),
    }.items():
        yield name, content, DAMAGED
    yield "empty", b"", (422, "wrong-field")
    yield "4_billion_images", file(images=2**32 - 1), (413, "too-many-images")
    yield "1001_images", file(images=1001), (413, "too-many-images")
    yield "model_unknown", file(b"nothing@1"), (404, "model-not-found")
    yield "version_unknown", file(b"exact@999"), (404, "version-not-found")
    yield "float_version", file(b"mnist@1"), OTHER
    yield "network_unknown", whole, OTHER
    yield "arithmetic_unknown", file(arithmetic=b"exact-9"), OTHER
    yield "shape_of_another", file(shape=(3, 9, 8)), OTHER
    yield "shape_huge", file(shape=(255, 65_535, 65_535)), OTHER
    yield "checksum", whole[:-1] + b"\0", DAMAGED
    yield "states_missing", file(rest=b""), DAMAGED
    yield "words_not_of_4_bytes", file(rest=b"\xff" * 41), DAMAGED
    yield "state_0", file(rest=bytes(8)), DAMAGED
