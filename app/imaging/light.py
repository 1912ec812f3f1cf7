"""Tell uploads that decode in milliseconds from those that may not, by their headers alone.

Light uploads are decoded in a thread of the service. A file counts as light only if all that a
decoder does with it is known to be short: a PNG or JPEG of few pixels, scans and segments, an array,
or a small archive of arrays.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.imaging import formats
from app.imaging.jpeg_scans import markers
from app.imaging.lossless import NPY, ZIP

MAX_BYTES = 2**19
MAX_PIXELS = 2**20
MAX_PASSES = 2**23
"""Largest sum of pixels * scans; a scan of a progressive JPEG passes over all pixels."""
MAX_METADATA_BYTES = 2**16
"""Largest number of bytes that are not pixels, such as EXIF data, which is read in Python."""
MAX_SEGMENTS = 512
"""Largest number of chunks of a PNG or segments of a JPEG."""

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_SCAN = 0xDA


@dataclass(frozen=True)
class _Cost:
    """Work of a decoder for one file, by its header."""

    pixels: int
    passes: int
    metadata_bytes: int


def are_light(contents: Iterable[bytes]) -> bool:
    """Return True if decoding all files together takes milliseconds; may say no if in doubt."""
    total = pixels = passes = metadata_bytes = 0
    for content in contents:
        if content.startswith(NPY):
            continue  # is not decoded: its bytes are the pixels
        total += len(content)
        if total > MAX_BYTES or (cost := _cost(content)) is None:
            return False
        pixels += cost.pixels
        passes += cost.passes
        metadata_bytes += cost.metadata_bytes
        if pixels > MAX_PIXELS or passes > MAX_PASSES or metadata_bytes > MAX_METADATA_BYTES:
            return False
    return True


def _cost(content: bytes) -> _Cost | None:
    """Return the cost of a file by its header, or None if it cannot be told."""
    kind = formats.recognise(content)
    if kind is formats.PNG:
        return _png_cost(content)
    if kind is formats.JPEG:
        return _jpeg_cost(content)
    if kind is not None:
        return None
    # An archive has a directory, which is read in Python. Others are refused by their first bytes.
    return _Cost(0, 0, len(content) if content.startswith(ZIP) else 0)


def _png_cost(content: bytes) -> _Cost | None:
    metadata_bytes = 0
    for i, (name, size) in enumerate(_png_chunks(content)):
        if i == MAX_SEGMENTS:
            return None
        if name != b"IDAT":
            metadata_bytes += size
    width = int.from_bytes(content[16:20], "big")
    height = int.from_bytes(content[20:24], "big")
    return _Cost(width * height, width * height, metadata_bytes)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield name and size of each chunk up to IEND."""
    offset, name = 8, b""
    while offset < len(content) and name != b"IEND":
        name = content[offset + 4 : offset + 8]
        size = int.from_bytes(content[offset : offset + 4], "big")
        yield name, size
        offset += size + 12


def _jpeg_cost(content: bytes) -> _Cost | None:
    pixels = scans = metadata_bytes = 0
    for i, (code, offset, length) in enumerate(markers(content)):
        if i == MAX_SEGMENTS:
            return None
        if code in _FRAMES:
            height = int.from_bytes(content[offset + 3 : offset + 5], "big")
            width = int.from_bytes(content[offset + 5 : offset + 7], "big")
            pixels = max(pixels, width * height)
        elif code == _SCAN:
            scans += 1
        else:
            metadata_bytes += length
    return _Cost(pixels, pixels * scans, metadata_bytes)
