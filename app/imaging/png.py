"""Encode PNG files: W3C PNG, third edition.

Equal arrays give equal bytes on every machine: no file carries a time, and libdeflate's output does
not depend on the processor. The chunk functions are shared with APNG (`app.imaging.animation`).
"""

import json
import struct
from collections.abc import Mapping
from functools import lru_cache

import deflate
import numpy as np

from app.imaging.grid import channels_last
from app.typing import Bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_GREY, _RGB = 0, 2
_COMPRESSION_LEVEL = 1
"""libdeflate's fastest level; its files are still no larger than Pillow's."""
_MOSTLY_BLACK = 0.6
"""Fraction of zeros from which on PNG's filters make an image larger (drawings on black)."""


def encode_png(image: Bytes, parameters: Mapping[str, object] | None = None) -> bytes:
    """Encode (channels, height, width) as a grey or RGB PNG.

    `parameters` are added as JSON, in a text chunk of that name.
    """
    header, data = header_chunk(*image.shape), chunk(b"IDAT", compress_lines(image))
    return b"".join([SIGNATURE, header, *text_chunks(parameters), data, END_CHUNK])


@lru_cache(maxsize=64)
def header_chunk(channels: int, height: int, width: int) -> bytes:
    """Return the IHDR chunk of an image with 8 bits per channel."""
    colour_type = _GREY if channels == 1 else _RGB
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))


def text_chunks(parameters: Mapping[str, object] | None) -> list[bytes]:
    """Return `parameters` as a list of one tEXt chunk, or an empty list if there are none.

    tEXt is Latin-1. JSON escapes everything that is not ASCII, so any reader decodes it correctly.
    """
    if parameters is None:
        return []
    return [chunk(b"tEXt", b"parameters\0" + json.dumps(parameters).encode("ascii"))]


def chunk(kind: bytes, content: bytes | bytearray = b"") -> bytes:
    """Return a chunk: length, type, content and checksum."""
    checksum = deflate.crc32(content, deflate.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


END_CHUNK = chunk(b"IEND")


def compress_lines(image: Bytes) -> bytearray:
    """Filter and deflate the scan lines: the content of IDAT and fdAT chunks."""
    channels, height, width = image.shape
    lines = np.ascontiguousarray(channels_last(image)).reshape(height, width * channels)
    if np.count_nonzero(lines) <= (1 - _MOSTLY_BLACK) * lines.size:
        filtered = np.zeros((height, lines.shape[1] + 1), np.uint8)
        filtered[:, 1:] = lines
    else:
        filtered = _filter(lines, channels)
    return deflate.zlib_compress(filtered.data, _COMPRESSION_LEVEL)


def _filter(lines: Bytes, channels: int) -> Bytes:
    """Filter each line with the filter that leaves the smallest residuals.

    (height, bytes) -> (height, 1 + bytes); the first column is the number of the filter. Filters
    and heuristic: W3C PNG, sections 9.2 and 12.7.
    """
    height, width = lines.shape
    bordered = np.zeros((height + 1, width + channels), np.uint8)
    bordered[1:, channels:] = lines
    left, up = bordered[1:, :-channels], bordered[:-1, channels:]
    corner = bordered[:-1, :-channels]
    average = (left & up) + ((left ^ up) >> 1)
    predictions = (np.zeros_like(lines), left, up, average, _paeth(left, up, corner))
    residuals = np.empty((5, height, width), np.uint8)
    for number, prediction in enumerate(predictions):
        np.subtract(lines, prediction, out=residuals[number])
    cost = np.minimum(residuals, -residuals).sum(axis=2, dtype=np.uint64)
    best = cost.argmin(axis=0)
    filtered = np.empty((height, width + 1), np.uint8)
    filtered[:, 0] = best
    filtered[:, 1:] = residuals[best, np.arange(height)]
    return filtered


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Return, for each byte, the neighbour that is nearest to left + up - corner."""
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    left_is_nearest = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(left_is_nearest, left, np.where(to_up <= to_corner, up, corner))
