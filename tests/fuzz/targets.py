"""The fuzzed functions, which read bytes from strangers.

Files of versions are in version_targets.py, and whole requests in service_targets.py.
"""

import asyncio
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.types import Message

from app.api import v2_codec
from app.api.latents_body import read_latents
from app.api.request_body import read_uploads
from app.imaging.decode import decode_upload
from app.imaging.lossless import read_levels
from app.settings import Settings
from model_store.store.backend import VersionFiles
from model_store.store.checksums import MANIFEST
from model_store.store.folder import Folder
from model_store.store.version import read_manifest
from model_store.weight_shapes import weight_shapes
from tests.fuzz import service_targets, version_targets
from tests.fuzz.target import Target
from tests.hostile.generate import read
from tests.hostile.png_files import SIGNATURE, chunk


def _with_type(entry: dict[str, Any]) -> bytes:
    """Return a hostile form behind a line with its Content-Type, as the target reads it."""
    return str(entry["content_type"]).encode("latin-1") + b"\n" + read(entry)


def _image(data: bytes) -> object:
    return decode_upload(data, max_pixels=1024 * 1024)


def _arrays(data: bytes) -> object:
    return read_levels(data, (1, 9, 8), most_images=100, max_pixels=1024 * 1024)


def _v2(data: bytes) -> object:
    """Parse a body; if it begins with a number and a line break, that is the length of the JSON."""
    head, separator, body = data.partition(b"\n")
    if separator and len(head) < 30:
        return v2_codec.parse(body, head.decode("latin-1"), max_values=200_000)
    return v2_codec.parse(data, None, max_values=200_000)


def _latents(data: bytes) -> object:
    return _LOOP.run_until_complete(
        read_latents(_request(b"application/json", data), 3, max_rows=256)
    )


def _multipart(data: bytes) -> object:
    """Read a form whose first line is the Content-Type."""
    content_type, _, body = data.partition(b"\n")
    request = _request(content_type, body)
    return _LOOP.run_until_complete(read_uploads(request, ["image"], _SETTINGS))


def _request(content_type: bytes, body: bytes) -> Request:
    """Return a request whose body comes in pieces of 1,000 bytes."""
    pieces = [body[at : at + 1000] for at in range(0, len(body), 1000)] or [b""]
    messages: Iterator[Message] = iter(
        {"type": "http.request", "body": piece, "more_body": i + 1 < len(pieces)}
        for i, piece in enumerate(pieces)
    )

    async def receive() -> Message:
        return next(messages)

    headers = [(b"content-type", content_type)]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers, "app": None}
    return Request(scope, receive)


def _manifest(data: bytes) -> object:
    folder = _FOLDER / "mnist" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_bytes(data)
    version = VersionFiles(Folder(_FOLDER), "mnist", 1)
    return weight_shapes(read_manifest(version).spec)


def repair_png(data: bytes) -> bytes:
    """Return a PNG whose chunks have the checksums of their content."""
    if not data.startswith(SIGNATURE):
        return data
    parts, at = [SIGNATURE], len(SIGNATURE)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        kind, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        parts.append(chunk(kind, content, zlib.crc32(kind + content)))
        at += 12 + length
    return b"".join(parts) + data[at:]


_SETTINGS = Settings()
_LOOP = asyncio.new_event_loop()
_SCRATCH = tempfile.TemporaryDirectory(prefix="zserve-fuzz-")
_FOLDER = Path(_SCRATCH.name)
_RECORD = {"sha256": "0" * 64, "size_bytes": 5}
_HEAD = (
    b'{"inputs": [{"name": "z", "shape": [1, 3], "datatype": "FP32", '
    b'"parameters": {"binary_data_size": 12}}]}'
)
_JSON = (
    b'{"id": "a", "inputs": [{"name": "z", "shape": [1, 3], "datatype": "FP32", '
    b'"data": [[0, 1, 2]]}]}'
)
_FORM = (
    b"multipart/form-data; boundary=b\n--b\r\nContent-Disposition: form-data; "
    b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\nabc\r\n--b--\r\n'
)
_BINARY = b"%d\n" % len(_HEAD) + _HEAD + bytes(12)
_NETWORKS: dict[str, dict[str, object]] = {
    "mlp": {"hidden": [8]},
    "conv": {"channels": [4, 8], "hidden": 8},
    "residual": {"channels": [4, 8], "hidden": 8, "encoder_blocks": 2},
}
_LATENTS = b'{"z": [[0.5, -1e3, 3], [0, 0, 0]]}'


def _manifests() -> list[bytes]:
    """Return a manifest of each kind of network."""
    return [
        json.dumps(
            {
                "format_version": 1,
                "name": "mnist",
                "version": 1,
                "created_at": "2026-01-01T00:00:00Z",
                "spec": {
                    "network": {"kind": kind, **network},
                    "latent": 3,
                    "prior": {"couplings": 2, "hidden": 4},
                },
                "training": {"preset": "p", "dataset": "d", "seed": 0, "epochs": 1},
                "files": {"weights.safetensors": _RECORD, "card.md": _RECORD},
            }
        ).encode()
        for kind, network in _NETWORKS.items()
    ]


TARGETS = {
    target.name: target
    for target in (
        Target(
            "images",
            _image,
            ("images",),
            (
                b"IHDR",
                b"PLTE",
                b"IDAT",
                b"tRNS",
                b"eXIf",
                b"iCCP",
                b"acTL",
                b"\xff\xda",
                b"\xff\xc2",
            ),
            repair=repair_png,
        ),
        Target(
            "multipart",
            _multipart,
            ("multipart",),
            (b"--b", b"\r\n", b"filename=", b"name=", b"; ", b'"'),
            lambda: [_FORM],
            read=_with_type,
        ),
        Target(
            "latents",
            _latents,
            ("json",),
            (b"[", b"]", b"{", b'"z"', b"1e999", b"-0", b"NaN", b","),
            lambda: [_LATENTS],
        ),
        Target(
            "v2",
            _v2,
            ("v2",),
            (b"[", b"]", b"{", b"1e999", b"-1", b"true", b'"parameters"', b"9223372036854775808"),
            lambda: [_JSON, _BINARY],
        ),
        Target(
            "manifest",
            _manifest,
            (),
            (
                b"[",
                b"]",
                b"{",
                b"null",
                b"-1",
                b"1000000000000",
                b'"prior"',
                b'"hidden"',
                b"exact-1",
            ),
            _manifests,
        ),
        Target(
            "arrays",
            _arrays,
            ("arrays",),
            (
                b"(",
                b")",
                b"[",
                b"{",
                b"'descr': ",
                b"'|u1'",
                b"9999999999",
                b"\x93NUMPY",
                b"PK\1\2",
            ),
        ),
        *version_targets.TARGETS,
        *service_targets.TARGETS,
    )
}
