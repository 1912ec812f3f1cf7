"""Fuzzed files of a version: what is read of a model that somebody else has made.

The store turns any other exception of a load into a refusal as well, but such a refusal does not say
what is wrong with the file; the targets therefore call what the store calls.
"""

import functools
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from model_store.store import version as version_files
from tests.fuzz.target import Target
from tests.hostile.generate import read
from tests.hostile.server import hostile_file, publish_whole
from tests.unit.arithmetic.networks import images
from tests.unit.compression.codecs import codec

_REF = ModelRef.parse("whole@1")
_SCRATCH = tempfile.TemporaryDirectory(prefix="zserve-fuzz-")


@functools.cache
def _store() -> Store:
    store = Store(Path(_SCRATCH.name))
    publish_whole(store.root, _REF.name)
    return store


@functools.cache
def _manifest() -> Manifest:
    return _store().manifest(_REF)


def _valid(filename: str) -> bytes:
    return _store().file(_REF, filename)


def _target(
    name: str,
    filename: str,
    parse: Callable[[Manifest, dict[str, bytes]], object],
    words: tuple[bytes, ...],
) -> Target:
    """Return a target for one file of a version."""

    def hostile(entry: dict[str, Any]) -> bytes | None:
        if not str(entry["target"]).endswith(f"/{filename}"):
            return None
        return hostile_file(entry, _valid(filename))

    return Target(
        name,
        lambda data: parse(_manifest(), {filename: data}),
        ("versions",),
        words,
        lambda: [_valid(filename)],
        read=hostile,
    )


def _decompress(data: bytes) -> object:
    return codec("conv").decompress(data, 100)


def repair_checksum(data: bytes) -> bytes:
    """Return a compressed file with the checksum of its content."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


_NUMBERS = (
    b"-1",
    b"0",
    b"1e999",
    b"1e300",
    b"9223372036854775808",
    b"NaN",
    b"null",
    b"[",
    b"]",
    b"{",
)
_TENSORS = (
    *(b'"F32"', b'"F64"', b'"I8"', b'"U8"', b'"BF16"', b'"shape":[', b'"data_offsets":['),
    *(
        b"[0,0]",
        b"4611686018427387904",
        b'"__metadata__":{',
        b"\x00\x00\xc0\x7f",
        b"\x00\x00\x80\x7f",
    ),
)

TARGETS = (
    _target(
        "snapshots", "snapshots.json", version_files.check_snapshots, (*_NUMBERS, b"AAAA", b"=")
    ),
    _target("typicality", "typicality.json", version_files.parse_typicality, _NUMBERS),
    _target("golden", "golden.json", version_files.parse_golden, (*_NUMBERS, b'"to_u"')),
    _target(
        "encoded_images",
        "encoded_images.safetensors",
        version_files.parse_encoded_images,
        (*_TENSORS, b'"labels"'),
    ),
    _target(
        "directions",
        "directions.safetensors",
        version_files.parse_directions,
        (*_TENSORS, b'"in_z"'),
    ),
    _target(
        "class_latents",
        "class_latents.safetensors",
        version_files.parse_class_latents,
        (*_TENSORS, b'"least"', b'"in_z"'),
    ),
    _target("pixels", "pixels.safetensors", version_files.parse_pixels, _TENSORS),
    _target(
        "exact",
        "exact.safetensors",
        version_files.parse_network,
        (*_TENSORS, b'\\"kind\\":', b"conv", b"dense", b"relu", b"affine", b'\\"kept\\":7', b"-1"),
    ),
    Target(
        "compressed",
        _decompress,
        ("compressed",),
        (b"exact@1", b"exact-1", b"\xff" * 8, bytes(8)),
        lambda: [codec("conv").compress(images("conv", rows)) for rows in (1, 20)],
        repair_checksum,
        read,
    ),
)
