"""Decode an opened image file, at reduced size if it is a photo, and completely or not at all.

The result does not depend on the machine: photos are made smaller by whole factors, with the
integer arithmetic of libjpeg and of Pillow's box filter.
"""

import math
import os
from pathlib import Path

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

MAX_DECODED_PIXELS = 2**20
"""Images of more pixels are reduced by the smallest whole factor that leaves at most this number."""
MIN_REDUCED_SIDE = 112
"""Pixels that a reduced image keeps along its shorter side."""

_MARKS = (113, 142)
"""Values of pixels that a decoder has not written."""


def load(image: Image.Image) -> Image.Image:
    """Decode an opened file; return an image of at most about MAX_DECODED_PIXELS.

    Raises OSError if a PNG has fewer rows than its header promises, which Pillow would fill with
    black. Exceptions of Pillow for a damaged file are passed on.
    """
    width, height = image.size
    factor = reduction(width, height)
    if isinstance(image, JpegImageFile) and factor > 1:
        image.draft(None, (width // factor, height // factor))
    if isinstance(image, PngImageFile) and image.tile:
        _load_all_rows(image)
    else:
        image.load()
    return _reduced(image, reduction(*image.size))


def reduction(width: int, height: int) -> int:
    """Return the whole factor by which both sides of an image are reduced."""
    factor = math.isqrt(max(width * height - 1, 0) // MAX_DECODED_PIXELS)
    while width * height > factor**2 * MAX_DECODED_PIXELS:
        factor += 1
    return max(1, min(factor, min(width, height) // MIN_REDUCED_SIDE))


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Return the means of squares of pixels."""
    if factor == 1:
        return image
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode.startswith("I;16"):
        image = image.convert("I")
    elif image.mode in {"P", "PA"}:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif "transparency" in image.info:  # one grey level or colour, of which means would differ
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    return image.reduce(factor)


# --- rows that a PNG lacks ---------------------------------------------------------------------


def _load_all_rows(image: PngImageFile) -> None:
    """Decode a PNG; raise OSError if it has fewer rows than its header promises.

    Pillow neither refuses such a file nor says how many rows it has decoded. It is therefore decoded
    over pixels of one value. If its last row has this value, it is decoded again over another one.
    """
    file, name = image.fp, image.filename
    assert file is not None  # noqa: S101 - the file has not been decoded yet
    if _has_last_row(image, _MARKS[0]):
        return
    if name:  # Pillow has closed the file that it opened
        with Path(os.fsdecode(name)).open("rb") as again:
            complete = _has_last_row(PngImageFile(again), _MARKS[1])
    else:
        file.seek(0)
        complete = _has_last_row(PngImageFile(file), _MARKS[1])
    if not complete:
        raise OSError("the image has fewer rows than its header promises")


def _has_last_row(image: PngImageFile, mark: int) -> bool:
    """Decode a PNG over pixels of the value `mark`; return True if its last row has others."""
    image.im = Image.new(image.mode, image.size, (mark,) * len(image.getbands())).im
    image.load()
    width, height = image.size
    # The last row to be decoded is the last one, or the one above if the rows are interlaced.
    rows = (image.crop((0, max(y, 0), width, max(y, 0) + 1)) for y in (height - 1, height - 2))
    extremes = (row.getextrema() for row in rows)
    return all(any(ends != (mark, mark) for ends in _per_band(each)) for each in extremes)


def _per_band(extrema: tuple[float, float] | tuple[tuple[float, float], ...]) -> list[object]:
    """Return (least, greatest) of each band."""
    return list(extrema) if isinstance(extrema[0], tuple) else [extrema]
