"""Draw the characters of a font white on black, on one baseline and in one scale.

Capitals are 19 pixels high in images of 32x32, and the baseline is 8 pixels above the lower edge. A
font is drawn smaller if its widest character, its ascenders or its descenders need more room. The
ink is centred from left to right. Position and scale therefore tell c from C, as on paper.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.data.glyphs.fonts import CHARACTERS

SIDE = 32
BASELINE = 24
"""Rows above the baseline."""
CAPITAL_HEIGHT = 19.0
"""Height of an H in pixels, if the font fits."""
MIN_CAPITAL_HEIGHT = 13.0
"""A font that must be drawn smaller than this is left out."""
MARGIN = 1.0
"""Pixels around the ink, on every side but the lower one, which descenders may touch."""

_MEASURED_SIZE = 200
_OVERSAMPLING = 8
"""Characters are drawn this many times larger and averaged, so that no hinting distorts them."""

Bytes = NDArray[np.uint8]


def render(path: Path) -> Bytes | None:
    """Draw CHARACTERS; (characters, 32, 32), or None if the font cannot be drawn or has no size."""
    try:
        return _render(path)
    except (OSError, ValueError):  # what Pillow raises if FreeType refuses the file or a glyph
        return None


def _render(path: Path) -> Bytes | None:
    size = _font_size(path)
    if size is None:
        return None
    font = _open(path, size * _OVERSAMPLING)
    return np.stack([_draw(font, character) for character in CHARACTERS])


def _font_size(path: Path) -> float | None:
    """Return the size at which all characters fit, or None if the capitals were too small."""
    font = _open(path, _MEASURED_SIZE)
    boxes = np.array([font.getbbox(character, anchor="ls") for character in CHARACTERS], float)
    capital = -boxes[CHARACTERS.index("H"), 1]
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    if capital <= 0 or not (widths.all() and heights.all()):
        return None
    scales = [
        CAPITAL_HEIGHT / capital,
        (SIDE - 2 * MARGIN) / widths.max(),
        (BASELINE - MARGIN) / -boxes[:, 1].min(),
        (SIDE - BASELINE) / max(boxes[:, 3].max(), 1),
    ]
    scale = min(scales)
    return _MEASURED_SIZE * scale if capital * scale >= MIN_CAPITAL_HEIGHT else None


def _draw(font: ImageFont.FreeTypeFont, character: str) -> Bytes:
    side = SIDE * _OVERSAMPLING
    image = Image.new("L", (side, side))
    left, _, right, _ = font.getbbox(character, anchor="ls")
    at = (round((side - left - right) / 2), BASELINE * _OVERSAMPLING)
    ImageDraw.Draw(image).text(at, character, font=font, fill=255, anchor="ls")
    return np.asarray(image.reduce(_OVERSAMPLING))


def _open(path: Path, size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)
