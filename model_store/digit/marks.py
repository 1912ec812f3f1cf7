"""Choose among the marks on a sheet the largest and most central one that looks like a digit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model_store.digit.background import WHITE, Ink, Integers, eroded, smoothed
from model_store.digit.components import Components, Mask, components, grown, holds_square

_CANDIDATES = 30
"""Number of marks that are looked at, the longest first."""
_GAP = 25
"""Marks belong together if they are nearer than 2 / _GAP of the length of the best one."""
_SPECK = 50
"""A mark smaller than 1 / _SPECK of the digit's largest part is a speck."""
_DETACHED = 15
"""A detached stroke is at most this percentage of the digit's length away from it."""
_FRAGMENT = 16
"""A detached stroke has at least 1 / _FRAGMENT of the pixels of the digit's largest part."""
_SCATTERED = 8
"""Percentage of its box that a digit's strokes cover at least."""
_THIN = 16
"""The strokes of a digit cover at least 1 / _THIN of the square of its length."""
_SOLID = ((29, 80), (34, 70), (39, 40), (45, 25))
"""If a square of this percentage of its length fits into a mark, this percentage of its score stays.

MNIST's digits hold squares of 17 percent in the median, and 30 percent in 1 of 100.
"""
_CLEAR = 80
"""Percentage of a ring around a digit that is nearer to paper than to ink."""
_EDGE = 20
"""The ring's thickness is 1 / _EDGE of the digit's length, plus 1, and so is its distance."""
_WIDE_GAP = 20
"""Distance between two strokes of one digit, at most, as a percentage of their height."""
_WIDEST = 110
"""Width of two strokes of one digit together, at most, as a percentage of their height.

Two digits beside each other are wider.
"""
_HIGHEST = 250
"""Height of two strokes of one digit together, at most, as a percentage of their width."""
_OWN = 35
"""Ink below this percentage of the mark's median does not belong to it."""


@dataclass(frozen=True, eq=False)
class Mark:
    """A mark that may be the digit.

    Attributes:
        whole: the ink of the image that the mark is on.
        core: the pixels of the mark.
        others: the pixels of lines and of other marks.
        score: how much the mark looks like the digit that is meant.
        certain: True if the mark is a digit by all that is measured.
        rival_is_equal: True if there is another one with nearly the same score.
    """

    whole: Ink
    core: Mask
    others: Mask
    score: int
    certain: bool
    rival_is_equal: bool

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right of the mark."""
        rows = np.flatnonzero(self.core.any(axis=1))
        columns = np.flatnonzero(self.core.any(axis=0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    @property
    def longest(self) -> int:
        """The longer side of the box, in pixels."""
        top, left, bottom, right = self.box
        return max(bottom - top, right - left)

    @property
    def ink(self) -> Ink:
        """The ink of the mark and its soft edges; 0 elsewhere."""
        keep = grown(self.core, self.longest // 12 + 2)
        others = self.others & ~self.core
        if others.any():
            keep = self.core | (keep & ~grown(others, 2))
        return replace(self.whole, values=np.where(keep, self.whole.values, 0))


@dataclass(frozen=True)
class _Score:
    points: int
    certain: bool

    def times(self, percent: int) -> "_Score":
        """Lower the score of a mark that is not certain to be a digit."""
        return _Score(self.points * percent // 100, certain=False)


def choose_mark(ink: Ink, smooth: Integers, marks: Mask, lines: Mask) -> Mark:
    """Return the best mark.

    Args:
        ink: the ink of the image.
        smooth: its values, smoothed; (height, width).
        marks: the pixels of all marks; some pixel is True.
        lines: the pixels of lines and boxes, which belong to no mark.
    """
    parts = components(marks)
    groups = _groups(marks, parts)
    scores = {
        int(group): _score(marks, parts, np.flatnonzero(groups == group))
        for group in np.unique(groups[groups >= 0])
    }
    leading = sorted(scores, key=lambda group: (-scores[group].points, group))[:3]
    for group in leading:
        mark = parts.mask(np.flatnonzero(groups == group))
        scores[group] = _by_edge(scores[group], ink.light, mark)
    leading.sort(key=lambda group: (-scores[group].points, group))
    members = _with_strokes(scores, leading, parts, groups)
    core = parts.mask(members)
    others = (marks & ~core) | lines
    core &= smooth > _OWN * ink_strength(smooth, core) // 100
    score = scores[leading[0]]
    equal = bool(_equals(scores, leading, parts, groups, members))
    return Mark(ink, core, others, score.points, score.certain, equal)


def _with_strokes(
    scores: Mapping[int, _Score], leading: Sequence[int], parts: Components, groups: Integers
) -> Integers:
    """Return the parts of the best mark, and strokes of its digit that a wide gap separates."""
    members = _with_fragments(parts, np.flatnonzero(groups == leading[0]))
    equals = _equals(scores, leading, parts, groups, members)
    for group, score in scores.items():
        stroke = np.flatnonzero(groups == group)
        near = score.certain and _is_near(parts, members, stroke)
        together = np.union1d(members, stroke)
        if (near or group in equals) and _is_upright(parts, together):
            members = together
    return members


def _equals(
    scores: Mapping[int, _Score],
    leading: Sequence[int],
    parts: Components,
    groups: Integers,
    members: Integers,
) -> list[int]:
    """Return the groups that are as certain to be a digit as the first, and nearly as good and large."""
    best = scores[leading[0]]
    area = parts.area[members].sum()
    return [
        group
        for group in leading[1:]
        if group not in groups[members]
        and 10 * parts.area[groups == group].sum() >= 6 * area
        and best.certain
        and scores[group].certain
        and 10 * scores[group].points >= 9 * best.points
    ]


def _is_near(parts: Components, members: Integers, stroke: Integers) -> bool:
    """Return True if a stroke is not much smaller than a mark, and _WIDE_GAP of its length away."""
    length = int(parts.bottom[members].max() - parts.top[members].min())
    above = int(parts.top[stroke].min() - parts.bottom[members].max())
    below = int(parts.top[members].min() - parts.bottom[stroke].max())
    right = int(parts.left[stroke].min() - parts.right[members].max())
    left = int(parts.left[members].min() - parts.right[stroke].max())
    large = int(parts.area[stroke].sum()) * _FRAGMENT >= int(parts.area[members].max())
    return large and 100 * max(above, below, right, left) <= _WIDE_GAP * length


def _is_upright(parts: Components, members: Integers) -> bool:
    """Return True if parts together are as high and wide as one digit is, and not as two are."""
    height = int(parts.bottom[members].max() - parts.top[members].min())
    width = int(parts.right[members].max() - parts.left[members].min())
    return _WIDEST * height >= 100 * width and 100 * height <= _HIGHEST * width


def _with_fragments(parts: Components, members: Integers) -> Integers:
    """Return the parts of a mark without specks, and with detached strokes that are near it."""
    largest = parts.area[members].max()
    members = members[parts.area[members] * _SPECK >= largest]
    top, bottom = parts.top[members].min(), parts.bottom[members].max()
    left, right = parts.left[members].min(), parts.right[members].max()
    reach = max(bottom - top, right - left) * _DETACHED // 100
    near = (parts.bottom > top - reach) & (parts.top < bottom + reach)
    near &= (parts.right > left - reach) & (parts.left < right + reach)
    near &= (parts.area * _FRAGMENT >= largest) & (parts.area * 20 < largest * 11)
    return np.union1d(members, np.flatnonzero(near))


def ink_strength(values: Integers, mask: Mask) -> int:
    """Return the median of the ink under a mask, weighted by the ink itself."""
    ordered = np.sort(values[mask])
    sums = np.cumsum(ordered)
    return int(ordered[np.searchsorted(sums, sums[-1] // 2)])


def _groups(marks: Mask, parts: Components) -> Integers:
    """Return for each part the number of its group: parts that are near each other."""
    if len(parts) == 1:
        return np.zeros(1, np.int64)
    longest_first = np.argsort(-np.maximum(parts.height, parts.width), kind="stable")
    candidates = longest_first[:_CANDIDATES]
    points = [_score(marks, parts, candidates[i : i + 1]).points for i in range(len(candidates))]
    best = candidates[int(np.argmax(points))]
    near = components(grown(marks, int(max(parts.height[best], parts.width[best])) // _GAP))
    groups = np.zeros(len(parts), np.int64)
    groups[parts.labels[marks]] = near.labels[marks]
    return np.where(np.isin(groups, groups[candidates]), groups, -1)


def _score(marks: Mask, parts: Components, members: Integers) -> _Score:
    """Score parts by their length, their place, and how much they look like strokes."""
    height, width = marks.shape
    top, bottom = int(parts.top[members].min()), int(parts.bottom[members].max())
    left, right = int(parts.left[members].min()), int(parts.right[members].max())
    longest, area = max(bottom - top, right - left), int(parts.area[members].sum())
    away = max(
        1000 * abs(top + bottom - height) // height, 1000 * abs(left + right - width) // width
    )
    score = _Score(longest * (2000 - away), certain=longest * 20 >= max(height, width))
    fill = 100 * area // ((bottom - top) * (right - left))
    if fill < _SCATTERED:
        score = score.times(100 * fill // _SCATTERED)
    if min(top, left, height - bottom, width - right) == 0 and 2 * longest < max(height, width):
        score = score.times(50)
    if _covers_a_side(parts, members):
        score = score.times(5)
    if 3 * int(parts.area[members].max()) < area:
        score = score.times(30)
    if area * _THIN < longest**2:
        score = score.times(10)
    box = parts.mask(members, (slice(top, bottom), slice(left, right)))
    for thickness, percent in _SOLID:
        if longest <= 12 or not holds_square(box, -(-longest * thickness // 100)):
            break  # a larger square does not fit either
        score = score.times(percent)
    return score


def _covers_a_side(parts: Components, members: Integers) -> bool:
    """Return True if a mark, as a shadow does, holds a corner and most of a side of the image."""
    every, first, last = slice(None), slice(0, 1), slice(-1, None)
    boxes = ((first, every), (last, every), (every, first), (every, last))
    sides = [parts.mask(members, box).ravel() for box in boxes]
    return any((side[0] or side[-1]) and 10 * side.sum() > 6 * len(side) for side in sides)


def _by_edge(score: _Score, light: Integers, mark: Mask) -> _Score:
    """Lower the score of a mark whose surroundings are not paper."""
    rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
    edge = (int(max(np.ptp(rows), np.ptp(columns))) + 1) // _EDGE + 1
    box = (
        slice(max(0, int(rows[0]) - 2 * edge), int(rows[-1]) + 2 * edge + 1),
        slice(max(0, int(columns[0]) - 2 * edge), int(columns[-1]) + 2 * edge + 1),
    )
    mark, light = mark[box], smoothed(light[box])
    around = grown(mark, 2 * edge) & ~grown(mark, edge)
    if not around.any():
        return score.times(25)
    ring, inside = np.sort(light[around]), np.sort(light[mark])
    dark, bright = int(inside[len(inside) // 2]), int(ring[9 * len(ring) // 10])
    paper = 2 * light > dark + bright
    if not paper[around].all():
        # In a shadow, paper is as dark as ink elsewhere, but not as dark as the ink nearby.
        darkest = eroded(light, 3 * edge)
        paper |= (4 * darkest < 3 * light) & (20 * (light - darkest) > WHITE)
    clear = 100 * int((paper & around).sum()) // len(ring) if bright > dark else 0
    lowered = score.times(clear * clear // 100)
    return _Score(lowered.points, certain=score.certain and clear >= _CLEAR)
