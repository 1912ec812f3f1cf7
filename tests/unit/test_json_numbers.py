import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.api.json_numbers import (
    MAX_RANK,
    NotNumbersError,
    RaggedError,
    array_shape,
    has_more_values,
    read_numbers,
    write_numbers,
)

NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63))


def read(text: bytes) -> Any:
    shape = array_shape(text)
    return read_numbers(text, int(np.prod(shape))).reshape(shape)


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_a_rectangular_array_is_read_as_json_reads_it(
    data: st.DataObject, shape: list[int], indent: int | None
) -> None:
    count = int(np.prod(shape))
    numbers = data.draw(st.lists(NUMBERS, min_size=count, max_size=count))
    expected = np.array(numbers, np.float64).reshape(shape)
    text = json.dumps(np.array(numbers, object).reshape(shape).tolist(), indent=indent)
    assert array_shape(text.encode()) == tuple(shape)
    assert np.array_equal(read(text.encode()), expected)


@settings(deadline=None)
@given(st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=12))
def test_an_array_is_accepted_exactly_if_numpy_accepts_it(value: Any) -> None:
    try:
        array = np.array(value, np.float64)
    except ValueError:
        array = None
    text = json.dumps(value).encode()
    if array is None or array.ndim == 0 or (array.size == 0 and array.ndim > 1):
        with pytest.raises(NotNumbersError):
            read(text)
    else:
        assert np.array_equal(read(text), array)


def test_numbers_of_many_pieces_are_read_in_their_order() -> None:
    expected = np.random.default_rng(0).standard_normal((500, 4, 30))
    assert np.array_equal(read(json.dumps(expected.tolist()).encode()), expected)


@pytest.mark.parametrize(
    "text",
    ["5", '"5"', "null", "{}", "[true]", "[null]", '["1"]', '["[", 1]', '[{"a":1}]', "[[],[1]]"],
)
def test_other_values_are_no_numbers(text: str) -> None:
    with pytest.raises(NotNumbersError):
        read(text.encode())


@pytest.mark.parametrize("text", ["[[1,2],[3]]", "[[1],2]", "[1,[2]]", "[[[1]],[[2],[3]]]"])
def test_arrays_of_different_lengths_are_ragged(text: str) -> None:
    with pytest.raises(RaggedError):
        read(text.encode())


def test_arrays_can_be_nested_to_a_limit() -> None:
    assert array_shape(b"[" * MAX_RANK + b"1" + b"]" * MAX_RANK) == (1,) * MAX_RANK
    for depth in (MAX_RANK + 1, 100_000):
        with pytest.raises(NotNumbersError, match="nested more than 8"):
            array_shape(b"[" * depth + b"1" + b"]" * depth)


@pytest.mark.parametrize("count", [1, 2, 100_000])
def test_values_are_counted_before_they_are_decoded(count: int) -> None:
    text = json.dumps([0] * count).encode()
    assert not has_more_values(text, count)
    assert has_more_values(text, count - 1)


def test_a_number_has_a_limited_length() -> None:
    numbers = [b"0." + b"1" * 60_000, b"0." + b"2" * 60_000]
    assert read(b"[%s, %s]" % (*numbers,)).tolist() == [float(number) for number in numbers]
    with pytest.raises(NotNumbersError, match="at most 65536 characters"):
        read(b"[0." + b"1" * 200_000 + b"]")


def test_any_space_between_numbers_is_skipped() -> None:
    spaces = b" \n" * 100_000
    assert read(b"[%s1%s,%s-2e3%s]" % ((spaces,) * 4)).tolist() == [1, -2000]
    assert array_shape(b"[" + spaces + b"]") == (0,)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000])
def test_a_number_beyond_float64_is_an_overflow(number: str) -> None:
    with pytest.raises(OverflowError):
        read(f"[0, {number}]".encode())


@pytest.mark.parametrize("count", [0, 1, 4096, 4097, 10_000])
def test_values_are_written_as_json_writes_them(count: int) -> None:
    values = np.random.default_rng(count).standard_normal(count).astype(np.float32)
    assert "".join(write_numbers(values)) == json.dumps(values.tolist())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_never_written(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        list(write_numbers(np.array([0.0, value], np.float32)))
