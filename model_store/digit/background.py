"""Tell ink from paper: how far each pixel differs from the background around it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store import resampling

Integers = NDArray[np.int64]
Levels = NDArray[np.uint16]

WHITE = 65535
UNIT = 100
"""Ink is measured in steps of 1 / (UNIT * WHITE), in which medians and percentages are integers."""
FULL = UNIT * WHITE
"""The difference of white and black."""
MIN_CONTRAST = 8
"""An image whose strongest mark has less than this percentage of full ink is blank."""
_STRONG = 40
"""Percentage of full ink by which light on empty paper hardly differs from its border."""
_CROSSING = 20
"""Percentage of full ink from which on something at the border is not paper."""
_EVEN = 4
"""Percentage of full ink by which three fifths of even paper may differ from its median."""
_PLAIN = 20
"""Percentage of full ink by which plain paper differs from white, or from black."""
_TILES = 128
"""Number of tiles along the longer side, of which the background is a picture."""
_SHADOW = 4
"""A shadow is at least 1 / _SHADOW of the longer side; what is narrower may be ink."""


@dataclass(frozen=True, eq=False)
class Ink:
    """How much darker, or lighter, than its background each pixel is.

    Attributes:
        values: (height, width), at least 0, in steps of 1 / FULL.
        noise: the difference that paper, shadow and compression may have too.
        light: the levels of the image, inverted if the ink is lighter; (height, width).
        dark: True if the ink is darker than the paper.
        plain: True if the paper is nearly white, or nearly black under lighter ink.
    """

    values: Integers
    noise: int
    light: Integers
    dark: bool
    plain: bool = False


def border(grey: NDArray[np.generic]) -> Integers:
    """Return the pixels at the four sides, those at the corners twice, sorted."""
    return np.sort(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).astype(np.int64))


def quartile(ordered: Integers, quarters: int) -> int:
    """Return a quartile of sorted numbers, linearly interpolated, times 4."""
    place, part = divmod((len(ordered) - 1) * quarters, 4)
    after = min(place + 1, len(ordered) - 1)
    return int((4 - part) * ordered[place] + part * ordered[after])


def ink_of_ready_image(grey: Levels) -> Ink | None:
    """Return the ink of an image of the model's size, or None if it is blank."""
    edge = border(grey)
    background = UNIT // 4 * quartile(edge, 2)
    ink = _ink(grey, background, np.abs(UNIT * edge - background))
    return None if 100 * int(ink.values.max()) < MIN_CONTRAST * FULL else ink


def strong_ink(grey: Levels) -> Ink | None:
    """Return all that differs from the border, or None if uneven light on paper may differ as much.

    It is taken for the digit if nothing on the image looks like one.
    """
    ink = ink_of_ready_image(grey)
    return None if ink is None or 100 * int(ink.values.max()) < _STRONG * FULL else ink


def even_ink(grey: Levels) -> Ink | None:
    """Compare with the median of the border, or return None if the paper there is not even.

    Ink is lighter if the border is dark, and else darker. Ink that crosses the border does not count.
    """
    edge = border(grey)
    background = UNIT // 4 * quartile(edge, 2)
    deviation = np.abs(UNIT * edge - background)
    paper = np.sort(deviation[100 * deviation < _CROSSING * FULL])
    if 100 * paper[(len(paper) - 1) * 3 // 5] > _EVEN * FULL:
        return None
    return _ink(grey, background, paper)


def _ink(grey: Levels, background: int, deviation: Integers) -> Ink:
    light = grey.astype(np.int64)
    dark = 2 * background >= FULL
    difference = light * UNIT  # then in place, because large arrays are costly to allocate
    difference -= background
    if dark:
        np.negative(difference, out=difference)
    else:
        light = WHITE - light
    np.maximum(difference, 0, out=difference)
    noise = quartile(np.sort(deviation), 3) // 2
    plain = 100 * min(background, FULL - background) < _PLAIN * FULL
    return Ink(difference, noise, light, dark, plain)


def uneven_ink(grey: Levels, *, dark: bool) -> Ink:
    """Compare with the light around: the closing of the image by squares that no stroke fills."""
    light = grey.astype(np.int64) if dark else WHITE - grey.astype(np.int64)
    paper = _paper(light)
    ink = (paper - light) * UNIT
    if dark:  # ink takes away a part of the light, which varies
        ordered = np.sort(paper, axis=None)
        bright = max(1, int(ordered[9 * len(ordered) // 10]))
        ink = ink * WHITE // np.maximum(paper, bright // 3 + 1)
    ink -= np.sort(ink, axis=None)[ink.size // 2]
    noise = 17 * quartile(np.sort(np.abs(ink), axis=None), 2) // 20
    return Ink(np.maximum(ink, 0), noise, light, dark)


def ink_is_dark(grey: Levels) -> bool:
    """Return True if less of the image is darker than its surroundings than is lighter than them.

    The surroundings are the median of 7x7 tiles of the image, of which 32 make its longer side.
    """
    height, width = grey.shape
    tile = -(-max(height, width) // 32)
    padded = np.pad(grey.astype(np.int64), ((0, -height % tile), (0, -width % tile)), "edge")
    rows, columns = padded.shape[0] // tile, padded.shape[1] // tile
    tiles = padded.reshape(rows, tile, columns, tile).swapaxes(1, 2).reshape(rows, columns, -1)
    medians = np.partition(tiles, tile * tile // 2, axis=2)[..., tile * tile // 2]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(medians, 3, "edge"), (7, 7))
    around = np.partition(windows.reshape(rows, columns, 49), 24, axis=2)[..., 24]
    difference = tiles - around[..., None]
    slack = WHITE * 4 // 100
    darker = np.maximum(-difference - slack, 0).sum()
    return bool(darker >= np.maximum(difference - slack, 0).sum())


def _paper(light: Integers) -> Integers:
    """Return the light of the paper under the ink; (height, width)."""
    height, width = light.shape
    tile = -(-max(height, width) // _TILES)
    padded = np.pad(light, ((0, -height % tile), (0, -width % tile)), "edge")
    rows, columns = padded.shape[0] // tile, padded.shape[1] // tile
    tiles = padded.reshape(rows, tile, columns, tile).swapaxes(1, 2).reshape(rows, columns, -1)
    place = 3 * tile * tile // 4
    coarse = np.partition(tiles, place, axis=2)[..., place]
    closed = _closed(coarse, max(rows, columns) // _SHADOW)
    return resampling.enlarged(closed, tile)[:height, :width]


def _closed(coarse: Integers, side: int) -> Integers:
    """Fill what is darker than its surroundings and narrower than `side`; dilate, then erode.

    Beyond its edges the image goes on as it came: darker if it gets darker there, but not lighter.
    """
    half = max(1, side // 2)
    flat = eroded(dilated(np.pad(coarse, 2 * half, "edge"), half), half)[
        2 * half : -2 * half, 2 * half : -2 * half
    ]
    pad = min(2 * half, min(coarse.shape) - 1)
    mirrored = np.pad(coarse, pad, "reflect", reflect_type="odd")
    going_on = np.minimum(mirrored, np.pad(flat, pad, "edge"))
    going_on = np.pad(going_on, 2 * half - pad, "edge")
    cut = slice(2 * half, -2 * half)
    return eroded(dilated(going_on, half), half)[cut, cut]


def dilated(image: Integers, half: int) -> Integers:
    """Return the largest value within `half` rows and columns."""
    return -eroded(-image, half)


def eroded(image: Integers, half: int) -> Integers:
    """Return the smallest value within `half` rows and columns."""
    for axis in (0, 1):
        pad = [(0, 0), (0, 0)]
        pad[axis] = (half, half)
        image = np.moveaxis(np.pad(image, pad, "edge"), axis, 0)
        width, span = 1, 2 * half + 1
        while 2 * width <= span:
            image = np.minimum(image[:-width], image[width:])
            width *= 2
        rest = span - width
        image = np.minimum(image[: len(image) - rest], image[rest:])
        image = np.moveaxis(image, 0, axis)
    return image


def smoothed(image: Integers) -> Integers:
    """Average squares of 3x3 pixels, whose values are at least 0."""
    small = image.max() < 2**27  # then the sums fit into 32 bits, which are quicker
    numbers = image.astype(np.int32 if small else np.int64)
    rows = _sums_of_three(numbers, 0)
    return np.asarray(_sums_of_three(rows, 1) // 9, np.int64)


def _sums_of_three(image: NDArray[Any], axis: int) -> NDArray[Any]:
    """Add to each row (axis 0) or column those beside it; the image goes on as it ends."""
    before, after, first, last = (slice(None, -1), slice(1, None), slice(0, 1), slice(-1, None))
    sums = image.copy()
    for target, source in ((after, before), (before, after), (first, first), (last, last)):
        if axis == 0:
            sums[target] += image[source]
        else:
            sums[:, target] += image[:, source]
    return sums
