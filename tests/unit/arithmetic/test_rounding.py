import math
from decimal import Decimal

import numpy as np
import pytest

from model_store.arithmetic import factors, likelihood, rounding


def test_log_and_exp_are_the_nearest_float32():
    values = np.random.default_rng(0).uniform(1e-3, 50, 2000)
    for function, exactly in (
        (rounding.log, rounding.DIGITS.ln),
        (rounding.exp, rounding.DIGITS.exp),
    ):
        results = function(values)
        for value, result in zip(values.tolist(), results, strict=True):
            assert result == rounding.nearest_float32(exactly(Decimal(value)))


def test_an_ambiguous_value_is_computed_again():
    halfway = np.array([1.0 + 2.0**-24])  # between 1 and the next float32
    asked = []

    def exactly(index: tuple[int, ...]) -> Decimal:
        asked.append(index)
        return Decimal(1 + 2.0**-24) + Decimal("1e-20")

    result = rounding.to_float32(halfway, np.array([1e-12]), exactly)
    assert asked == [(0,)]
    assert result[0] == np.float32(1) + np.float32(2.0**-23)


@pytest.mark.parametrize("turn", ["0", "0.125", "0.25", "0.4", "0.5", "0.75", "0.99", "3.25"])
def test_cosine_has_fifty_digits(turn: str):
    result = rounding.cos_turns(Decimal(turn))
    assert abs(float(result) - math.cos(2 * math.pi * float(turn))) < 1e-14
    if turn in {"0.25", "0.75", "3.25"}:
        assert abs(result) < Decimal("1e-45")


def test_a_sum_in_order_is_the_sum_of_a_loop():
    values = np.random.default_rng(0).standard_normal((4, 100))
    for row, total in zip(values.tolist(), rounding.sequential_sum(values), strict=True):
        expected = 0.0
        for value in row:
            expected += value
        assert total == expected


def margin(values: np.ndarray) -> float:
    """Return the smallest distance from a rounding boundary, in units in the last place of float64."""
    distance = np.abs(values - np.floor(values) - 0.5)
    return float((distance / np.spacing(np.maximum(np.abs(values), 1))).min())


def test_every_machine_finds_the_same_tables_of_logits():
    logits = np.arange(-likelihood.LIMIT, likelihood.LIMIT + 1) / 256
    sigmoid = 1 / (1 + np.exp(-logits))
    middle = logits != 0  # at 0 the sigmoid is exactly one half
    assert margin(sigmoid[middle] * 255) > 1000
    assert margin(sigmoid[middle] * 255 * likelihood.FINE) > 1000
    assert margin(np.log1p(np.exp(logits)) * likelihood.NATS) > 1000
    assert (
        likelihood.grey_levels(np.zeros(1, np.float32))[0] == 128
    )  # 127.5 is rounded to the even integer


def test_every_machine_finds_the_same_table_of_factors():
    limit = factors.LARGEST_LEVEL
    raw = np.arange(-limit, limit + 1) * 2.0**-factors.RAW_EXPONENT
    scales = np.exp(2 * np.tanh(raw / 2))
    low, high = (
        (scales * (1 - 2.0**-49)).astype(np.float32),
        (scales * (1 + 2.0**-49)).astype(np.float32),
    )
    middle = raw != 0
    assert np.array_equal(low[middle], high[middle])


def test_logits_are_rounded_like_rint_and_clamped():
    limit = likelihood.LIMIT
    eighths = np.arange(-8 * (limit + 3), 8 * (limit + 3) + 1, dtype=np.float32) / 8
    extremes = np.array([-np.inf, np.inf, -1e30, 1e30, -0.0, 2.0**23 + 1], np.float32)
    near_halves = np.nextafter(np.arange(-limit, limit, dtype=np.float32) + np.float32(0.5), 0)
    logits = np.concatenate([eighths, extremes, near_halves]).astype(np.float32)
    before = logits.copy()
    expected = np.clip(np.rint(logits), -limit, limit) + limit
    assert np.array_equal(likelihood.logit_levels(logits), expected)
    assert np.array_equal(logits, before)
