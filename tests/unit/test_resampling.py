"""Resampling in integers: exact, close to Pillow's, and the same on every machine."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from model_store import resampling
from model_store.resampling import WEIGHT_BITS, Grid, bicubic_weights, enlarged, reduced, resized

RNG = np.random.default_rng(3)
SIZES = [(28, 28), (20, 20), (7, 20), (1, 1), (200, 130), (449, 300), (600, 33)]


def keys_cubic(u: Fraction) -> Fraction:
    """Keys 1981, equation 15 (a = -1/2)."""
    u = abs(u)
    if u < 1:
        return Fraction(3, 2) * u**3 - Fraction(5, 2) * u**2 + 1
    return -Fraction(1, 2) * u**3 + Fraction(5, 2) * u**2 - 4 * u + 2 if u < 2 else Fraction(0)


@pytest.mark.parametrize(("length", "size"), [(60, 20), (20, 20), (9, 20), (61, 7)])
def test_weights_are_the_cubic_of_keys_in_steps_of_2_to_the_minus_14(
    length: int, size: int
) -> None:
    weights = bicubic_weights(Grid(length, size, length, size))
    scale, widened = Fraction(length, size), max(Fraction(length, size), Fraction(1))
    for i, row in enumerate(weights):
        centre = (i + Fraction(1, 2)) * scale
        exact = [keys_cubic((j + Fraction(1, 2) - centre) / widened) for j in range(length)]
        for weight, value in zip(row.tolist(), exact, strict=True):
            assert abs(weight - value / sum(exact) * 2**WEIGHT_BITS) <= 16  # 16: the remainder


@pytest.mark.parametrize("size", SIZES)
def test_a_plain_image_stays_plain_and_an_image_of_the_size_stays_as_it_is(
    size: tuple[int, int],
) -> None:
    assert (resized(np.full(size, 65535), (28, 20)) == 65535).all()
    noise = RNG.integers(0, 65536, size)
    assert np.array_equal(resized(noise, size), noise)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("hard", [True, False])
def test_the_result_is_within_a_quarter_of_a_grey_level_of_pillows(
    size: tuple[int, int], hard: bool
) -> None:
    levels = RNG.integers(0, 2, size) * 65535 if hard else RNG.integers(0, 65536, size)
    image = Image.fromarray(levels.astype(np.float32))
    pillow = np.asarray(image.resize((20, 28), Image.Resampling.BICUBIC))
    assert np.abs(resized(levels, (28, 20)) - pillow).max() < 257 / 4


def test_sums_are_those_of_integers_of_any_size() -> None:
    levels = RNG.integers(0, 2, (90, 70)) * resampling.MAX_VALUE
    rows = bicubic_weights(Grid(90, 20, 90, 20)).tolist()
    columns = bicubic_weights(Grid(70, 16, 70, 16)).tolist()
    ours = resized(levels, (20, 16))
    for i, j in [(0, 0), (19, 15), (7, 11)]:
        total = sum(
            a * b * int(levels[y, x])
            for y, a in enumerate(rows[i])
            for x, b in enumerate(columns[j])
        )
        assert abs(total) < 2**53
        assert abs(Fraction(total, 4**WEIGHT_BITS) - int(ours[i, j])) <= Fraction(1, 2)


def test_blocks_are_averaged_and_those_at_the_edge_are_smaller() -> None:
    image = np.array([[0, 10, 7], [20, 31, 8], [100, 101, 9]], np.uint8)
    expected = np.array([[15.25, 7.5], [100.5, 9]]) * 257
    assert np.array_equal(reduced(image, 2), np.floor(expected + 0.5))
    assert np.array_equal(reduced(np.stack([image] * 3, 2), 2)[..., 1], reduced(image, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_white_image_stays_white_however_it_is_reduced(
    dtype: type[np.uint8] | type[np.uint16],
) -> None:
    white: resampling.Levels = np.full((301, 203), np.iinfo(dtype).max).astype(dtype)
    for factor in (1, 2, 7, 300):
        assert (reduced(white, factor) == 65535).all()


def test_enlarging_goes_straight_from_one_centre_to_the_next() -> None:
    assert enlarged(np.array([[0, 400]]), 4)[0].tolist() == [0, 0, 50, 150, 250, 350, 400, 400]
    assert (enlarged(np.full((3, 1), 7), 5) == 7).all()
