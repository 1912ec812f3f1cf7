"""The steps of the search for a digit, compared with their definitions."""

import numpy as np
import pytest

from model_store.digit import lines
from model_store.digit.background import smoothed
from model_store.digit.components import Mask, components, grown, holds_square


def flood_fill(mask: Mask) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    labels = np.full(mask.shape, -1)
    count = 0
    for start in zip(*np.nonzero(mask), strict=True):
        if labels[start] < 0:
            waiting = [start]
            while waiting:
                y, x = waiting.pop()
                if (
                    0 <= y < mask.shape[0]
                    and 0 <= x < mask.shape[1]
                    and mask[y, x]
                    and labels[y, x] < 0
                ):
                    labels[y, x] = count
                    waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            count += 1
    return labels


@pytest.mark.parametrize("density", [0.0, 0.1, 0.35, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (23, 31)])
def test_components_are_those_of_a_flood_fill(shape: tuple[int, int], density: float) -> None:
    for seed in range(5):
        mask = np.random.default_rng(seed).random(shape) < density
        parts = components(mask)
        assert np.array_equal(parts.labels, flood_fill(mask))
        for i in range(len(parts)):
            rows, columns = np.nonzero(parts.labels == i)
            assert parts.area[i] == len(rows)
            assert (parts.top[i], parts.bottom[i]) == (rows.min(), rows.max() + 1)
            assert (parts.left[i], parts.right[i]) == (columns.min(), columns.max() + 1)
            assert np.array_equal(parts.mask(np.array([i])), parts.labels == i)


def test_a_spiral_is_one_component() -> None:
    spiral = np.zeros((41, 41), bool)
    y, x, step = 20, 20, 1
    for turn in range(18):
        for _ in range(2 * (turn // 2 + 1)):
            spiral[y, x] = True
            y, x = (y, x + step) if turn % 2 == 0 else (y + step, x)
        step = -step if turn % 2 else step
    assert len(components(spiral)) == 1
    assert spiral.sum() > 150


@pytest.mark.parametrize("radius", [0, 1, 3, 50])
def test_growing_adds_squares_around_each_pixel(radius: int) -> None:
    mask = np.random.default_rng(0).random((30, 20)) < 0.02
    rows, columns = np.nonzero(mask)
    y, x = np.mgrid[:30, :20]
    near = (np.abs(y[..., None] - rows) <= radius) & (np.abs(x[..., None] - columns) <= radius)
    assert np.array_equal(grown(mask, radius), near.any(axis=2))


def test_a_square_fits_if_all_of_its_pixels_are_in_the_mask() -> None:
    mask = np.zeros((20, 30), bool)
    mask[4:11, 8:20] = True
    assert holds_square(mask, 7)
    assert not holds_square(mask, 8)
    assert not holds_square(mask, 31)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.6, 1.0])
def test_columns_of_ink_are_counted_along_every_line(density: float) -> None:
    height, width, reach = 17, 40, 3
    mask = np.random.default_rng(1).random((height, width)) < density
    offsets = np.random.default_rng(2).integers(-reach, reach + 1, (6, width))
    counts = lines.inked_columns(mask, offsets, reach)
    expected = np.zeros((6, height + 2 * reach), np.int64)
    for slope in range(6):
        for row, column in zip(*np.nonzero(mask), strict=True):
            expected[slope, row + reach - offsets[slope, column]] += 1
    assert np.array_equal(counts, expected)


@pytest.mark.parametrize("largest", [255, 2**27 - 1, 2**27, 2**40])
def test_smoothing_averages_the_squares_around_each_pixel(largest: int) -> None:
    image = np.random.default_rng(3).integers(largest // 2, largest + 1, (12, 9))
    padded = np.pad(image, 1, "edge")
    squares = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    assert np.array_equal(smoothed(image), squares.sum(axis=(2, 3)) // 9)
