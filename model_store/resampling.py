"""Resize images with integers, so that every machine gets the same bytes.

docs/arithmetic.md specifies it. Sums are sums of integers below 2^53 in float64, which are exact
in any order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Levels = NDArray[np.uint16]

WEIGHT_BITS = 14
"""A weight is an integer; 2^WEIGHT_BITS is 1."""
MAX_VALUE = 100 * 65535
"""The largest absolute value of an image that is resampled; it bounds the sums."""


def reduced(pixels: NDArray[np.uint8 | np.uint16], factor: int) -> Levels:
    """Average blocks of factor x factor pixels; return 0..65535.

    Blocks at the bottom and at the right are smaller if the size is not a multiple of the factor.
    (height, width) or (height, width, 3).
    """
    unit = 257 if pixels.dtype == np.uint8 else 1
    if factor == 1:
        return np.asarray(pixels, np.uint16) * np.uint16(unit)
    starts = [np.arange(0, length, factor) for length in pixels.shape[:2]]
    rows, columns = (
        np.diff(start, append=length)
        for start, length in zip(starts, pixels.shape[:2], strict=True)
    )
    sums = np.add.reduceat(pixels, starts[0], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, starts[1], axis=1, dtype=np.uint64)
    count = (rows[:, None] * columns).astype(np.uint64)
    if pixels.ndim == 3:
        count = count[..., None]
    return ((2 * unit * sums + count) // (2 * count)).astype(np.uint16)


def resized(image: NDArray[np.integer], size: tuple[int, int]) -> Integers:
    """Resize integers of at most MAX_VALUE, (height, width), to a size (height, width)."""
    height, width = image.shape
    rows = bicubic_weights(Grid(height, size[0], height, size[0]))
    columns = bicubic_weights(Grid(width, size[1], width, size[1]))
    return filtered(image, rows, columns)


def filtered(image: NDArray[np.integer], rows: Integers, columns: Integers) -> Integers:
    """Return rows @ image @ columns.T / 4^WEIGHT_BITS, rounded to the nearest integer."""
    # Not matrix products, whose threads cost more than they save in images of this size.
    sums = np.einsum("ij,jk->ik", rows.astype(np.float64), image.astype(np.float64))
    sums = np.einsum("ik,jk->ij", sums, columns.astype(np.float64))
    return np.asarray(np.rint(sums * 4.0**-WEIGHT_BITS), np.int64)


@dataclass(frozen=True)
class Grid:
    """Where the output pixels of one axis are on the input, which was reduced before.

    Output pixel i is centred at start / (2 unit) + (i + 1/2) step / unit, in pixels of the image
    before it was reduced by `factor`; input pixel j is centred at (j + 1/2) factor.
    """

    length: int
    """Number of input pixels."""
    size: int
    """Number of output pixels."""
    step: int
    unit: int
    start: int = 0
    factor: int = 1


def bicubic_weights(grid: Grid) -> Integers:
    """Return the weights of input pixels (columns) in output pixels (rows); (size, length).

    The filter is the cubic of Keys 1981 with a = -1/2, widened by the scale if the image gets
    smaller. The weights of an output pixel are rounded, and the remainder goes to the largest.
    """
    i, j = np.arange(grid.size, dtype=np.int64)[:, None], np.arange(grid.length, dtype=np.int64)
    centres = grid.start + (2 * i + 1) * grid.step
    distance = np.abs((2 * j + 1) * grid.factor * grid.unit - centres)
    one = 2 * max(grid.step, grid.factor * grid.unit)
    p, q = np.minimum(distance, 2 * one), one
    near = 3 * p**3 - 5 * p**2 * q + 2 * q**3
    far = -(p**3) + 5 * p**2 * q - 8 * p * q**2 + 4 * q**3
    kernel = np.where(p < q, near, far)
    total = kernel.sum(axis=1, keepdims=True)
    weights = (kernel * 2 ** (WEIGHT_BITS + 1) + total) // (2 * total)
    rest = 2**WEIGHT_BITS - weights.sum(axis=1)
    weights[np.arange(grid.size), weights.argmax(axis=1)] += rest
    return np.asarray(weights, np.int64)


def enlarged(image: Integers, factor: int) -> Integers:
    """Enlarge both sides by a whole factor, linearly between the centres of pixels, rounded down."""
    for axis in (0, 1):
        length = image.shape[axis]
        twice = (
            2 * np.arange(length * factor) + 1 - factor
        )  # distance from the first centre, times 2
        lower = np.clip(twice // (2 * factor), 0, max(length - 2, 0))
        part = np.clip(twice - 2 * factor * lower, 0, 2 * factor)
        image = np.moveaxis(image, axis, 0)
        above, below = image[lower], image[np.minimum(lower + 1, length - 1)]
        part = part[:, None]
        image = np.moveaxis((above * (2 * factor - part) + below * part) // (2 * factor), 0, axis)
    return image
