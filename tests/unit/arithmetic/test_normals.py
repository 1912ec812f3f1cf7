import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.arithmetic import normals, rounding

WORDS = st.integers(0, 2**64 - 1)


@settings(max_examples=300, deadline=None)
@given(WORDS)
def test_each_normal_is_the_float32_nearest_to_the_real_number(word: int):
    even, odd = normals.box_muller(np.array([[word]], np.uint64))[0]
    for result, is_odd in ((even, False), (odd, True)):
        exact = normals._exact_normal(word, odd=is_odd)
        assert result == rounding.nearest_float32(exact)


@pytest.mark.parametrize("quarter", range(4))
def test_at_quarter_turns_one_of_the_two_is_exactly_nothing(quarter: int):
    word = (12345 << 32) | (quarter << 30)
    even, odd = normals.box_muller(np.array([[word]], np.uint64))[0]
    nothing, radius = (odd, even) if quarter % 2 == 0 else (even, odd)
    assert abs(nothing) < 1e-40
    assert abs(radius) == np.float32(np.sqrt(-2 * np.log(12346 / 2**32)))


def test_the_moments_are_those_of_a_normal():
    words = np.random.default_rng(0).integers(0, 2**64, (1000, 50), np.uint64, endpoint=False)
    z = normals.box_muller(words).astype(np.float64)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 6 * np.sqrt(2 / z.size)


def test_a_library_with_another_last_digit_gives_the_same_normals(monkeypatch: pytest.MonkeyPatch):
    words = np.random.default_rng(1).integers(0, 2**64, (200, 64), np.uint64, endpoint=False)
    expected = normals.box_muller(words)
    log, cos = np.log, np.cos
    monkeypatch.setattr(np, "log", lambda x: log(x) * (1 + 3e-16))
    monkeypatch.setattr(np, "cos", lambda x: cos(x) + 2e-16)
    assert np.array_equal(normals.box_muller(words), expected)
