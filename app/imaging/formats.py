"""Arrays of bytes -> the bytes of files: PNG, APNG, GIF, zip and npz. Pure, and repeatable.

Images are (channels, height, width) of uint8, with one channel or three. No file carries a time
or anything else that differs from one call to the next, and what compresses is a pinned library
whose output does not depend on the machine, so equal arrays give equal bytes.
"""

import csv
import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import deflate
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8]

VERSION = f"1-{deflate.__version__}-{Image.__version__}"  # type: ignore[attr-defined]
"""Changes whenever the same pixels may give other bytes; part of every ETag."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_LEVEL = 1
"""Of libdeflate: the fastest, and still no larger than Pillow's files; see DECISIONS.md."""
_MOSTLY_BLACK = 0.6
"""From this share of zeros on, PNG's filters make a picture larger: drawings on black."""


# --- one picture -------------------------------------------------------------------------------


def make_grid(images: Bytes, columns: int, padding: int = 2) -> Bytes:
    """Lay out (batch, channels, height, width) as torchvision.utils.make_grid(nrow=columns) does.

    Black padding; one image alone has none. -> (channels, height, width)
    """
    n, channels, height, width = images.shape
    if n == 1:
        alone: Bytes = images[0]
        return alone
    columns = min(columns, n)
    rows = math.ceil(n / columns)
    step_y, step_x = height + padding, width + padding
    grid = np.zeros((channels, rows * step_y + padding, columns * step_x + padding), np.uint8)
    plane, line, pixel = grid.strides
    cells = np.ndarray(  # a view: each image is copied once, to where it is shown
        (rows, columns, channels, height, width),
        np.uint8,
        grid.data,
        padding * (line + pixel),
        (step_y * line, step_x * pixel, plane, line, pixel),
    )
    full, rest = divmod(n, columns)
    cells[:full] = images[: full * columns].reshape(full, *cells.shape[1:])
    cells[full:, :rest] = images[full * columns :]
    return grid


def enlarge(image: Bytes, scale: int) -> Bytes:
    """Each pixel as a square of scale x scale; (..., height, width)."""
    if scale == 1:
        return image
    return image.repeat(scale, axis=-2).repeat(scale, axis=-1)


def channels_last(images: Bytes) -> Bytes:
    """(..., channels, height, width) -> (..., height, width) if grey, else with channels last."""
    if images.shape[-3] == 1:
        grey: Bytes = images[..., 0, :, :]
        return grey
    return np.moveaxis(images, -3, -1)


def encode_png(image: Bytes, parameters: Mapping[str, object] | None = None) -> bytes:
    """A grey or RGB PNG of (channels, height, width), with `parameters` as a JSON text chunk.

    W3C PNG, third edition.
    """
    header, data = _header(*image.shape), _chunk(b"IDAT", _compress(image))
    return b"".join([_SIGNATURE, header, *_text(parameters), data, _END])


@lru_cache(maxsize=64)
def _header(channels: int, height: int, width: int) -> bytes:
    colour = _GREY if channels == 1 else _RGB
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))


def _text(parameters: Mapping[str, object] | None) -> list[bytes]:
    """A tEXt chunk is Latin-1; JSON escapes what is not ASCII, so every reader gets the same."""
    if parameters is None:
        return []
    return [_chunk(b"tEXt", b"parameters\0" + json.dumps(parameters).encode("ascii"))]


def _chunk(kind: bytes, content: bytes | bytearray = b"") -> bytes:
    checksum = deflate.crc32(content, deflate.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", checksum)))


_END = _chunk(b"IEND")


def _compress(image: Bytes) -> bytearray:
    """The scan lines, filtered and deflated: what IDAT and fdAT hold."""
    channels, height, width = image.shape
    lines = np.ascontiguousarray(channels_last(image)).reshape(height, width * channels)
    if np.count_nonzero(lines) <= (1 - _MOSTLY_BLACK) * lines.size:
        filtered = np.zeros((height, lines.shape[1] + 1), np.uint8)
        filtered[:, 1:] = lines
    else:
        filtered = _filter(lines, channels)
    return deflate.zlib_compress(filtered.data, _LEVEL)


def _filter(lines: Bytes, channels: int) -> Bytes:
    """Each line with the filter whose residuals are smallest; one column more, for its number.

    Filters and heuristic: W3C PNG, sections 9.2 and 12.7.
    """
    height, width = lines.shape
    bordered = np.zeros((height + 1, width + channels), np.uint8)
    bordered[1:, channels:] = lines
    left, up = bordered[1:, :-channels], bordered[:-1, channels:]
    corner = bordered[:-1, :-channels]
    average = (left & up) + ((left ^ up) >> 1)
    predicted = (np.zeros_like(lines), left, up, average, _paeth(left, up, corner))
    residuals = np.empty((5, height, width), np.uint8)
    for number, prediction in enumerate(predicted):
        np.subtract(lines, prediction, out=residuals[number])
    cost = np.minimum(residuals, -residuals).sum(axis=2, dtype=np.uint64)
    best = cost.argmin(axis=0)
    filtered = np.empty((height, width + 1), np.uint8)
    filtered[:, 0] = best
    filtered[:, 1:] = residuals[best, np.arange(height)]
    return filtered


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """Of the three neighbours the one nearest to left + up - corner."""
    a, b, c = left.astype(np.int16), up.astype(np.int16), corner.astype(np.int16)
    to_left, to_up, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest_is_left = (to_left <= to_up) & (to_left <= to_corner)
    return np.where(nearest_is_left, left, np.where(to_up <= to_corner, up, corner))


# --- moving pictures ---------------------------------------------------------------------------


def encode_apng(
    frames: Bytes, *, frame_ms: int, loop: bool, parameters: Mapping[str, object] | None = None
) -> bytes:
    """An animated PNG of (batch, channels, height, width); readers of plain PNGs see the first.

    W3C PNG, third edition, section 11.3.6.
    """
    control = _chunk(b"acTL", struct.pack(">II", len(frames), 0 if loop else 1))
    chunks = [_SIGNATURE, _header(*frames[0].shape), *_text(parameters), control]
    height, width = frames.shape[2:]
    place = 0
    for number, frame in enumerate(frames):
        shape = struct.pack(">IIIII", place, width, height, 0, 0)
        chunks.append(_chunk(b"fcTL", shape + struct.pack(">HHBB", frame_ms, 1000, 0, 0)))
        place += 1
        if number == 0:
            chunks.append(_chunk(b"IDAT", _compress(frame)))
        else:
            chunks.append(_chunk(b"fdAT", struct.pack(">I", place) + _compress(frame)))
            place += 1
    return b"".join([*chunks, _END])


def encode_gif(
    frames: Bytes, *, frame_ms: int, loop: bool, parameters: Mapping[str, object] | None = None
) -> bytes:
    """An animated GIF of (batch, channels, height, width), with `parameters` as its comment.

    Grey is exact; colours are reduced to 256 in each frame. GIF counts in hundredths of a second.
    """
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in channels_last(frames)]
    if frames.shape[1] == 3:
        pictures = [picture.quantize(256) for picture in pictures]
    options: dict[str, Any] = {"loop": 0} if loop else {}
    if parameters is not None:
        options["comment"] = json.dumps(parameters).encode("ascii")
    gif = io.BytesIO()
    first, *rest = pictures
    first.save(
        gif,
        "GIF",
        save_all=True,
        append_images=rest,
        duration=frame_ms,
        optimize=False,
        **options,
    )
    return gif.getvalue()


def back_and_forth(frames: Bytes) -> Bytes:
    """The frames and then those between the ends in reverse, so that a loop has no jump."""
    return np.concatenate([frames, frames[-2:0:-1]])


# --- many files in one -------------------------------------------------------------------------


class ZipWriter:
    """A zip archive made piece by piece: `add` and `close` give the bytes that come next.

    Files are stored as they are, since PNGs cannot be compressed again. Nothing is kept but a few
    bytes of each file for the directory at the end. Form: PKWARE's APPNOTE, sections 4.3 and 4.5,
    with the ZIP64 records where there are more than 65,534 files or 4 GiB.
    """

    _VERSION, _VERSION_64 = 20, 45
    _UTF8 = 1 << 11
    _MIDNIGHT, _FIRST_OF_1980 = 0, (1 << 5) | 1
    _FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF

    def __init__(self) -> None:
        self._directory: list[bytes] = []
        self._written = 0

    def add(self, name: str, content: bytes) -> bytes:
        """One file, of less than 4 GiB."""
        return self.announce(name, len(content), deflate.crc32(content)) + content

    def announce(self, name: str, size: int, checksum: int) -> bytes:
        """What comes before the bytes of a file, for one that is sent in parts."""
        encoded = name.encode()
        version = self._VERSION if self._written < self._FULL_32 else self._VERSION_64
        facts = struct.pack(
            "<HHHHHIIIHH",
            *(version, self._UTF8, 0, self._MIDNIGHT, self._FIRST_OF_1980),
            *(checksum, size, size, len(encoded)),
            0 if version == self._VERSION else 12,
        )
        extra, offset = b"", self._written
        if version == self._VERSION_64:
            extra, offset = struct.pack("<HHQ", 1, 8, self._written), self._FULL_32
        self._directory.append(
            struct.pack("<IH", 0x02014B50, version)
            + facts
            + struct.pack("<HHHII", 0, 0, 0, 0, offset)
            + encoded
            + extra
        )
        local = struct.pack("<I", 0x04034B50) + facts[:-2] + b"\0\0" + encoded
        self._written += len(local) + size
        return local

    def close(self) -> bytes:
        """The directory."""
        start, files = self._written, len(self._directory)
        directory = b"".join(self._directory)
        large = files >= self._FULL_16 or start + len(directory) >= self._FULL_32
        end_64 = self._end_64(start, len(directory)) if large else b""
        end = struct.pack(
            "<IHHHHIIH",
            *(0x06054B50, 0, 0, *[min(files, self._FULL_16)] * 2),
            *(min(len(directory), self._FULL_32), min(start, self._FULL_32), 0),
        )
        return directory + end_64 + end

    def _end_64(self, start: int, size: int) -> bytes:
        files, version = len(self._directory), self._VERSION_64
        record = struct.pack(
            "<IQHHIIQQQQ", 0x06064B50, 44, version, version, 0, 0, files, files, size, start
        )
        return record + struct.pack("<IIQI", 0x07064B50, 0, start + size, 1)


def csv_lines(rows: Sequence[Sequence[object]]) -> bytes:
    """Lines of a table, RFC 4180."""
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue().encode()


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """What numpy.load(allow_pickle=False) opens; raises ValueError for arrays of objects."""
    archive = ZipWriter()
    parts = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
        parts.append(archive.add(f"{name}.npy", file.getvalue()))
    return b"".join([*parts, archive.close()])
