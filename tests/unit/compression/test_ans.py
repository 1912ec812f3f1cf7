import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_store.compression.ans import LOWEST_HEAD, TOTAL, Distributions, Message, Words
from model_store.errors import DamagedFileError


def distributions(generator: np.random.Generator, rows: int) -> Distributions:
    """Return rows of 2 to 299 symbols, some of them very rare."""
    made = []
    for length in generator.integers(2, 300, rows):
        weights = generator.exponential(size=length) ** 4
        row = 1 + (weights / weights.sum() * (TOTAL - length)).astype(np.int64)
        row[0] += TOTAL - row.sum()
        made.append(row)
    return Distributions(made)


def empty(lanes: int) -> Message:
    return Message(np.full(lanes, LOWEST_HEAD, np.uint64), np.zeros(0, np.uint32))


def drawn(
    symbols: Distributions, generator: np.random.Generator, rows: np.ndarray
) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Return one symbol for each row, drawn from the row's distribution."""
    slots = generator.integers(0, TOTAL, rows.shape, np.uint64)
    return symbols.places(rows.astype(np.uint64).ravel(), slots.ravel()).reshape(rows.shape)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), lanes=st.integers(1, 20), length=st.integers(0, 60))
def test_what_was_pushed_is_popped_and_leaves_the_message_as_it_was(
    seed: int, lanes: int, length: int
):
    generator = np.random.default_rng(seed)
    symbols = distributions(generator, 7)
    heads = generator.integers(LOWEST_HEAD, 2**64, lanes, np.uint64)
    words = generator.integers(0, 2**32, 5, np.uint32)
    message = Message(heads, words)
    batches = []
    for _ in range(3):
        rows = generator.integers(0, 7, (generator.integers(1, lanes + 1), length))
        places = drawn(symbols, generator, rows)
        batches.append((rows, places))
        message.push(symbols, places)
    for rows, places in reversed(batches):
        assert np.array_equal(message.pop(symbols, rows), places)
    assert np.array_equal(message.heads, heads)
    assert np.array_equal(message.words, words)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), lanes=st.integers(1, 20), length=st.integers(0, 60))
def test_a_push_undoes_a_pop(seed: int, lanes: int, length: int):
    generator = np.random.default_rng(seed)
    symbols = distributions(generator, 7)
    heads = generator.integers(LOWEST_HEAD, 2**64, lanes, np.uint64)
    words = generator.integers(0, 2**32, 2000, np.uint32)
    message = Message(heads, words)
    places = message.pop(symbols, generator.integers(0, 7, (lanes, length)))
    message.push(symbols, places)
    assert np.array_equal(message.heads, heads)
    assert np.array_equal(message.words, words)


def test_a_message_is_as_long_as_the_information_in_it():
    generator = np.random.default_rng(0)
    symbols = distributions(generator, 20)
    rows = generator.integers(0, 20, (4, 20_000))
    places = drawn(symbols, generator, rows)
    message = empty(4)
    message.push(symbols, places)
    frequency = symbols.intervals(places)[1].astype(np.float64)
    bits = -np.log2(frequency / TOTAL).sum()
    length = 32 * len(message.words) + np.log2(message.heads.astype(np.float64) / 2**32).sum()
    assert length == pytest.approx(bits, rel=1e-5)


def test_a_pop_below_the_bottom_is_damage():
    symbols = distributions(np.random.default_rng(0), 1)
    with pytest.raises(DamagedFileError, match="ends too early"):
        empty(2).pop(symbols, np.zeros((2, 100), np.int64))


def test_a_pop_below_the_bottom_takes_the_next_words_of_the_supply():
    numbers = np.random.default_rng(1).integers(0, 2**32, 5000, np.uint32)
    symbols = distributions(np.random.default_rng(0), 1)

    def supply(count: int) -> Words:
        return numbers[:count]

    heads = np.full(2, LOWEST_HEAD, np.uint64)
    message = Message(heads, numbers[:3][::-1], supply, 3)
    places = message.pop(symbols, np.zeros((2, 500), np.int64))
    message.push(symbols, places)
    assert message.supplied > 100
    assert np.array_equal(message.words, numbers[: message.supplied][::-1])


def test_closing_lanes_undoes_opening_them():
    words = np.arange(1, 10, dtype=np.uint32)
    message = Message(np.array([LOWEST_HEAD + 5], np.uint64), words)
    message.open_lanes(4)
    assert message.heads.tolist()[1:] == [LOWEST_HEAD + word for word in (7, 8, 9)]
    message.close_lanes(1)
    assert message.heads.tolist() == [LOWEST_HEAD + 5]
    assert np.array_equal(message.words, words)


def test_a_lane_that_does_not_end_as_it_began_is_damage():
    message = Message(np.array([LOWEST_HEAD, 2 * LOWEST_HEAD], np.uint64), np.zeros(0, np.uint32))
    with pytest.raises(DamagedFileError, match="lane"):
        message.close_lanes(1)


@pytest.mark.parametrize("row", [[TOTAL], [TOTAL - 1], [0, TOTAL], [TOTAL, 1]])
def test_frequencies_that_cannot_be_coded_are_refused(row: list[int]):
    with pytest.raises(ValueError, match="frequencies"):
        Distributions([np.array(row)])
