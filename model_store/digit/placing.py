"""Place a digit as MNIST does: light on black, fitted into 20x20, centred by its mass.

LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition",
section III.A.
"""

import numpy as np
from numpy.typing import NDArray

from model_store import resampling
from model_store.digit.background import FULL, Ink, Integers

Bytes = NDArray[np.uint8]

_SIDE = 20
"""Pixels of the longer side of a digit in MNIST's 28x28."""
_JPEG_RINGING = 12
"""Marks weaker than this percentage of the strongest may be artefacts of JPEG compression."""
_FULL_CONTRAST = 90
"""Ink of at least this percentage of full ink is left as it is; weaker ink is stretched."""
_FAINT = 20
"""Ink weaker than this percentage does not count for the size; resampling leaves such halos."""


def place_digit(ink: Ink, height: int, width: int, *, lossy: bool) -> Bytes:
    """Return a digit's ink as an image of MNIST, (height, width) in 0..255.

    Args:
        ink: some of its values are more than 0.
        height: pixels of the image.
        width: pixels of the image.
        lossy: True if the image was compressed as JPEG.
    """
    side = (2 * _SIDE * min(height, width) + 28) // 56
    values, full = _stretched(ink, lossy=lossy)
    tight = _boxed(values, 0)
    if max(tight.shape) != side:
        tight = _fitted(_boxed(values, _FAINT * full // 100), side)
        peak = int(np.clip(tight, 0, full).max())
        if 0 < 100 * peak < _FULL_CONTRAST * full:
            full = peak
    return _centred(np.clip((510 * tight + full) // (2 * full), 0, 255), height, width)


def _stretched(ink: Ink, *, lossy: bool) -> tuple[Integers, int]:
    """Return the ink without noise, and the value that stands for full ink."""
    values, peak = ink.values, int(ink.values.max())
    floor = min(max(ink.noise, _JPEG_RINGING * peak // 100 if lossy else 0), peak // 2)
    full = FULL
    if floor > 0 or 100 * peak < _FULL_CONTRAST * FULL:
        values, full = np.maximum(values - floor, 0), peak - floor
    return values, full


def _boxed(ink: Integers, threshold: int) -> Integers:
    """Return the bounding box of everything stronger than the threshold."""
    strong = ink > threshold
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(ink: Integers, side: int) -> Integers:
    """Resize the ink so that its longer side is `side`; keep the aspect ratio."""
    longest = max(ink.shape)
    height, width = (max(1, (2 * length * side + longest) // (2 * longest)) for length in ink.shape)
    return resampling.resized(ink, (height, width))


def _centred(ink: Integers, height: int, width: int) -> Bytes:
    """Put the ink on a black image, its centre of mass in [13.5, 14.5) of 28 as in MNIST.

    Measured: this rounding reproduces the position of all 10,000 digits of MNIST's test split.
    """
    canvas = np.zeros((height, width), np.uint8)
    top = _offset(ink.sum(axis=1), height)
    left = _offset(ink.sum(axis=0), width)
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _offset(mass: Integers, length: int) -> int:
    """Return ceil((length - 1) / 2 - centre of mass), so that the ink stays inside."""
    total, moment = int(mass.sum()), int(mass @ np.arange(len(mass)))
    offset = -((2 * moment - (length - 1) * total) // (2 * total)) if total else 0
    return min(max(offset, 0), length - len(mass))
