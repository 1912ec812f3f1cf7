"""Find the digit on an image: take away paper and lines, and choose among the marks that are left."""

from collections.abc import Iterator

import numpy as np

from model_store import resampling
from model_store.digit.background import (
    FULL,
    MIN_CONTRAST,
    Ink,
    Levels,
    even_ink,
    ink_is_dark,
    smoothed,
    uneven_ink,
)
from model_store.digit.lines import boxes_around_ink, lines_across
from model_store.digit.marks import Mark, choose_mark, ink_strength

_LONGEST = 600
"""Larger images are reduced by a whole factor until no side has more pixels."""
_COARSE = 80
"""A digit of fewer pixels in a reduced image is looked for again, in the part that it is in."""
_SMOOTHED = 100
"""Images of fewer pixels a side are not smoothed, because strokes may be one pixel thick."""
_FAINTEST = 5
"""Percentage of full ink, below which nothing is a mark."""
_FAINT = 30
"""A mark is at least this percentage as strong as the median of the ink."""


def find_digit(grey: Levels) -> Mark | None:
    """Return the mark that looks most like a digit, or None if the image shows nothing.

    Args:
        grey: (height, width), 0 is black and 65535 is white.
    """
    factor = -(-max(grey.shape) // _LONGEST)
    mark = _best_mark(resampling.reduced(grey, factor))
    if mark is None or factor == 1 or mark.longest >= _COARSE:
        return mark
    return _best_mark(grey[_surroundings(mark, factor)]) or mark


def _surroundings(mark: Mark, factor: int) -> tuple[slice, slice]:
    """Return the part of the image before its reduction that holds a mark and some paper."""
    margin = mark.longest * 2 // 3
    top, left, bottom, right = mark.box
    return (
        slice(max(0, top - margin) * factor, (bottom + margin) * factor),
        slice(max(0, left - margin) * factor, (right + margin) * factor),
    )


def _best_mark(grey: Levels) -> Mark | None:
    """Return the first mark that certainly looks like a digit, or else the best of all."""
    best: Mark | None = None
    for ink, trusted in _inks(grey):
        mark = _mark(ink)
        if mark is not None and mark.certain and trusted:
            return mark
        if mark is not None and (best is None or _rank(mark) > _rank(best)):
            best = mark
    return best


def _rank(mark: Mark) -> int:
    """Return the score, which counts twice if the mark certainly looks like a digit."""
    return mark.score * (2 if mark.certain else 1)


def _inks(grey: Levels) -> Iterator[tuple[Ink, bool]]:
    """Yield the ink under each assumption about the paper, the likeliest first.

    With each comes True if a mark that certainly looks like a digit may be taken at once.
    """
    even = even_ink(grey)
    if even is not None and even.plain:
        yield even, True
    dark = ink_is_dark(grey)
    if even is not None and not even.plain:
        yield even, even.dark == dark
    yield uneven_ink(grey, dark=dark), True
    yield uneven_ink(grey, dark=not dark), False


def _mark(ink: Ink) -> Mark | None:
    """Return the best mark of the ink, without lines and boxes."""
    smooth = smoothed(ink.values) if max(ink.values.shape) >= _SMOOTHED else ink.values
    threshold = max(6 * ink.noise // 5, FULL * _FAINTEST // 100)
    inked = smooth > threshold
    if 100 * smooth.max() < MIN_CONTRAST * FULL or not inked.any():
        return None
    lines = lines_across(inked)
    if not (inked & ~lines).any():
        lines = np.zeros_like(inked)  # the only ink is one long stroke
    strength = ink_strength(smooth, inked & ~lines)
    marks = (smooth > max(threshold, _FAINT * strength // 100)) & ~lines
    boxes = boxes_around_ink(marks)
    marks &= ~boxes
    return choose_mark(ink, smooth, marks, lines | boxes) if marks.any() else None
