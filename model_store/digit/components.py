"""Find the connected components of a mask, and grow masks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Components:
    """The components of a mask; arrays have one element for each component.

    Pixels that touch at an edge or at a corner belong to one component. Boxes are half-open.
    """

    labels: Integers
    """Number of the component of each pixel, from 0, and -1 outside of the mask."""
    area: Integers
    """Number of pixels."""
    top: Integers
    bottom: Integers
    left: Integers
    right: Integers

    def __len__(self) -> int:
        return len(self.area)

    @property
    def height(self) -> Integers:
        """Height of each component's box, in pixels."""
        return self.bottom - self.top

    @property
    def width(self) -> Integers:
        """Width of each component's box, in pixels."""
        return self.right - self.left

    def mask(
        self, members: Integers, box: tuple[slice, slice] = (slice(None), slice(None))
    ) -> Mask:
        """Return the pixels of some components, in a part of the image."""
        chosen = np.zeros(len(self) + 1, bool)  # the last element is that of label -1
        chosen[members] = True
        return chosen[self.labels[box]]


def components(mask: Mask) -> Components:
    """Return the connected components of a mask (height, width), in the order of their first run."""
    height, width = mask.shape
    row, start, stop = _runs(mask)
    names, count = _numbered(_joined(row, start, stop, width))
    labels = np.full((height, width), -1, np.int64)
    labels[mask] = np.repeat(names, stop - start)
    top, left = np.full(count, height), np.full(count, width)
    bottom, right = np.zeros(count, np.int64), np.zeros(count, np.int64)
    np.minimum.at(top, names, row)
    np.maximum.at(bottom, names, row + 1)
    np.minimum.at(left, names, start)
    np.maximum.at(right, names, stop)
    area = np.zeros(count, np.int64)
    np.add.at(area, names, stop - start)
    return Components(labels, area, top, bottom, left, right)


def _runs(mask: Mask) -> tuple[Integers, Integers, Integers]:
    """Return row, first column, and column after the last, of each horizontal run."""
    height, width = mask.shape
    padded = np.zeros((height, width + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1).ravel()
    row, start = np.divmod(np.flatnonzero(change == 1), width + 1)
    return row, start, np.flatnonzero(change == -1) % (width + 1)


def _joined(row: Integers, start: Integers, stop: Integers, width: int) -> Integers:
    """Return for each run the lowest number of a run that it is connected with."""
    pitch = width + 2
    first = np.searchsorted(row * pitch + stop, (row + 1) * pitch + start, "left")
    after = np.searchsorted(row * pitch + start, (row + 1) * pitch + stop, "right")
    count = np.maximum(after - first, 0)
    upper = np.repeat(np.arange(len(row)), count)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(count) - count - first, count)
    root = np.arange(len(row))
    while True:
        lowest = np.minimum(root[upper], root[lower])
        higher = np.maximum(root[upper], root[lower])
        if np.array_equal(lowest, higher):
            return root
        np.minimum.at(root, higher, lowest)
        while not np.array_equal(root, root[root]):
            root = root[root]


def _numbered(root: Integers) -> tuple[Integers, int]:
    roots, names = np.unique(root, return_inverse=True)
    return names.astype(np.int64), len(roots)


def grown(mask: Mask, radius: int) -> Mask:
    """Return the mask and everything within `radius` rows and columns of it."""
    if radius < 1:
        return mask
    height, width = mask.shape
    around = np.zeros((height + 2 * radius, width + 2 * radius), bool)
    around[radius:-radius, radius:-radius] = mask
    rows = _combined(around, 2 * radius + 1, 0, np.logical_or)
    return _combined(rows, 2 * radius + 1, 1, np.logical_or)


def holds_square(mask: Mask, side: int) -> bool:
    """Return True if a square of `side` pixels fits into the mask."""
    if side < 1 or side > min(mask.shape):
        return side < 1
    rows = _combined(mask, side, 0, np.logical_and)
    return bool(_combined(rows, side, 1, np.logical_and).any())


def _combined(mask: Mask, span: int, axis: int, combine: np.ufunc) -> Mask:
    """Combine each `span` rows (axis 0) or columns (axis 1) that follow each other.

    The number of rows or columns gets smaller by span - 1. Windows double until they have the span.
    """
    width = 1
    while width < span:
        step = min(width, span - width)
        first, second = (slice(None, -step), slice(step, None))
        if axis == 0:
            mask = combine(mask[first], mask[second])
        else:
            mask = combine(mask[:, first], mask[:, second])
        width += step
    return mask
