"""Find straight lines that are nearly level or upright: rules, frames and the boxes of forms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.digit.components import Mask, components

Integers = NDArray[np.int64]

_STEEPEST = 24
"""The steepest slope of a line, in steps of 2^-_SLOPE_BITS: 5.4 degrees."""
_SLOPE_BITS = 8
_SAMPLES = 100
"""Number of columns of a line that are looked at, or up to twice as many."""


@dataclass(frozen=True, eq=False)
class Line:
    """A line from the left side of a mask to the right.

    Attributes:
        rows: the row at each column.
        runs: the length of the upright run of ink there; 0 if there is none.
        thickness: the median of the runs, in pixels.
    """

    rows: Integers
    runs: Integers
    thickness: int


def lines_across(mask: Mask) -> Mask:
    """Return the pixels of lines from one side of the image to the opposite one.

    A line alone covers three quarters of the way, and one of three or more covers 0.6.
    """
    lines = np.zeros_like(mask)
    for image, pixels in ((mask, lines), (mask.T, lines.T)):
        candidates = _level_lines(image, 60, slender=18)
        if len(candidates) < 3:
            width = image.shape[1]
            candidates = [line for line in candidates if 4 * (line.runs > 0).sum() >= 3 * width]
        pixels[_erased(image, candidates)] = True
    return lines


def boxes_around_ink(marks: Mask) -> Mask:
    """Return the pixels of boxes around other ink: marks near their own sides, or straight sides."""
    erased = np.zeros_like(marks)
    parts = components(marks)
    size = max(marks.shape)
    for i in np.flatnonzero((parts.height * 10 > size) & (parts.width * 10 > size)):
        box = (slice(parts.top[i], parts.bottom[i]), slice(parts.left[i], parts.right[i]))
        own = parts.labels[box] == i
        sides = own if _is_hollow(own) else _straight_sides(own)
        inside = components(marks[box] & ~sides)
        if sides.any() and (inside.height * 4 >= len(own)).any():
            erased[box] |= sides
    return erased


def _is_hollow(own: Mask) -> bool:
    """Return True if nearly all of a mark is near the sides of its box."""
    margins = [max(2, length // 6) for length in own.shape]
    middle = own[margins[0] : -margins[0], margins[1] : -margins[1]]
    return int(middle.sum()) * 20 < int(own.sum())


def _straight_sides(own: Mask) -> Mask:
    """Return the pixels of straight sides of a mark, if there are three or more."""
    if _sides_with_ink(own) + _sides_with_ink(own.T) < 3:  # then lines are not looked for
        return np.zeros_like(own)
    level = _near_sides(_level_lines(own, 70, slender=8), len(own))
    upright = _near_sides(_level_lines(own.T, 70, slender=8), own.shape[1])
    if len(level) + len(upright) < 3:
        return np.zeros_like(own)
    sides = _erased(own, level) | _erased(own.T, upright).T
    rest = components(own & ~sides)
    margins = [length // 8 for length in own.shape]
    beside = (rest.bottom <= margins[0]) | (rest.top >= len(own) - margins[0])
    beside |= (rest.right <= margins[1]) | (rest.left >= own.shape[1] - margins[1])
    return sides | rest.mask(np.flatnonzero(beside))


def _sides_with_ink(own: Mask) -> int:
    """Return how many of the level sides of a mark have ink along most of them: 0, 1 or 2.

    A straight side has its median within a sixth of the height, and deviates by its slope.
    """
    height, width = own.shape
    reach = height // 6 + (width * _STEEPEST >> (_SLOPE_BITS + 1)) + 2
    bands = (own[:reach], own[max(0, height - reach) :])
    return sum(100 * int(band.any(axis=0).sum()) > 68 * width for band in bands)


def _near_sides(lines: list[Line], height: int) -> list[Line]:
    """Return the lines that are near the top or the bottom of a box."""
    places = [int(np.sort(line.rows)[len(line.rows) // 2]) for line in lines]
    return [
        line
        for line, place in zip(lines, places, strict=True)
        if min(place, height - place) * 6 < height
    ]


def _level_lines(mask: Mask, cover: int, *, slender: int) -> list[Line]:
    """Return the lines that are nearly level.

    Args:
        mask: (height, width).
        cover: percentage of the width that a line covers at least.
        slender: a line is at least this many times as long as it is thick.
    """
    width = mask.shape[1]
    step = max(1, width // _SAMPLES)
    sample = mask[:, ::step]
    needed = cover * -(-width // step) // 100 + 1
    reach = (width * _STEEPEST >> (_SLOPE_BITS + 1)) + 1
    if width < slender or _most_inked_columns(sample, 2 * reach + 1) < needed:
        return []
    slopes = np.arange(-_STEEPEST, _STEEPEST + 1)[:, None]
    counts = inked_columns(sample, _offsets(slopes, width)[:, ::step], reach)
    lines: list[Line] = []
    if counts.max() < needed:
        return lines
    runs = _run_lengths(mask)
    while True:
        slope, place = (int(i) for i in np.unravel_index(int(counts.argmax()), counts.shape))
        if counts[slope, place] < needed:
            return lines
        line = _line(runs, slope - _STEEPEST, place - reach)
        if line.thickness * slender <= width:
            lines.append(line)
        _forget(counts, slope, place, line.thickness + 2, width)


def inked_columns(mask: Mask, offsets: Integers, reach: int) -> Integers:
    """Return the number of columns in which each line has ink: (slopes, height + 2 reach).

    `offsets` (slopes, width) tell how far below its middle a line is; place `reach` of a slope is the
    line whose middle is in row 0. Runs are counted by their ends, because they have many pixels.
    """
    height, width = mask.shape
    padded = np.zeros((height + 2, width), np.int8)
    padded[1:-1] = mask
    change = np.diff(padded, axis=0)
    places = height + 2 * reach + 1
    first = np.arange(len(offsets))[:, None] * places + reach
    begun, ended = (
        np.bincount((first + rows - offsets[:, columns]).ravel(), minlength=len(offsets) * places)
        for rows, columns in (np.nonzero(change == 1), np.nonzero(change == -1))
    )
    return np.cumsum((begun - ended).reshape(len(offsets), places), axis=1)[:, :-1]


def _most_inked_columns(mask: Mask, rise: int) -> int:
    """Return an upper bound of the columns in which a line has ink that rises less than `rise` rows.

    Such a line lies within two of the bands of `rise` rows into which the mask is divided.
    """
    height, width = mask.shape
    bands = np.zeros((-(-height // rise) + 1, rise, width), bool)
    bands.reshape(-1, width)[:height] = mask
    inked: Mask = np.logical_or.reduce(bands, axis=1)
    return int((inked[:-1] | inked[1:]).sum(axis=1).max())


def _offsets(slope: int | Integers, width: int) -> Integers:
    """Return how far below its middle a line is, at each column; one row for each slope."""
    return (slope * (np.arange(width) - width // 2)) >> _SLOPE_BITS


def _forget(counts: Integers, slope: int, place: int, clear: int, width: int) -> None:
    """Clear the counts of all lines that meet a line within its length."""
    for other in range(len(counts)):
        spread = (abs(other - slope) * width >> (_SLOPE_BITS + 1)) + clear
        counts[other, max(0, place - spread) : place + spread + 1] = 0


def _run_lengths(mask: Mask) -> NDArray[np.int32]:
    """Return for each pixel the length of its upright run of ink; 0 outside of the mask."""
    height = len(mask)
    rows = np.arange(height, dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(mask, -1, rows), axis=0)
    below = np.minimum.accumulate(np.where(mask, height, rows)[::-1], axis=0)[::-1]
    return np.where(mask, below - above - 1, 0)


def _line(runs: NDArray[np.int32], slope: int, place: int) -> Line:
    height, width = runs.shape
    rows = place + _offsets(slope, width)
    inside = (rows >= 0) & (rows < height)
    rows = np.clip(rows, 0, height - 1)
    lengths = np.where(inside, runs[rows, np.arange(width)], 0).astype(np.int64)
    ordered = np.sort(lengths[lengths > 0])
    return Line(rows, lengths, int(ordered[len(ordered) // 2]))


def _erased(mask: Mask, lines: list[Line]) -> Mask:
    """Return the pixels of lines: their upright runs, but not longer ones, at which ink crosses."""
    height = len(mask)
    erased = np.zeros_like(mask)
    for line in lines:
        longest = 2 * line.thickness + 1
        columns = np.flatnonzero((line.runs > 0) & (line.runs <= longest))
        for step in (-1, 1):
            rows, alive = line.rows[columns], columns
            while len(alive):
                erased[rows, alive] = True
                rows = rows + step
                on = (rows >= 0) & (rows < height)
                on[on] = mask[rows[on], alive[on]]
                rows, alive = rows[on], alive[on]
    return erased
