"""Range asymmetric numeral systems (rANS): a stack of symbols with integer frequencies.

A message is a stack: the symbol that was pushed last is popped first. It has a 64-bit state for each
lane, and one stack of 32-bit words that all lanes share. Image i of a batch is coded in lane i, so
numpy codes a whole batch at once (Duda 2013, "Asymmetric numeral systems"; Giesen 2014,
"Interleaved entropy coders").

Every step is integer arithmetic. The package `constriction` is faster, but it accepts probabilities
as floats only and rounds them by its own rules, so its version would be part of the file format.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.errors import DamagedFileError

PRECISION = 24
"""The frequencies of a distribution sum to 2^24."""
TOTAL = 2**PRECISION
LOWEST_HEAD = 2**32
"""States are kept in [2^32, 2^64)."""

Heads = NDArray[np.uint64]
Words = NDArray[np.uint32]
Ints = NDArray[np.int64]
Supply = Callable[[int], Words]
"""Function that returns the first n words of an endless sequence."""

_PRECISION = np.uint64(PRECISION)
_MASK = np.uint64(TOTAL - 1)
_LOWEST_HEAD = np.uint64(LOWEST_HEAD)
_WORD = np.uint64(32)
_LIMIT_SHIFT = np.uint64(64 - PRECISION)


class Distributions:
    """Rows of integer frequencies, at least 1 each and 2^24 in sum; rows may differ in length.

    A symbol is identified by its place in the concatenated rows: `first[row]` + number in the row.
    """

    def __init__(self, rows: Sequence[Ints]) -> None:
        lengths = np.array([len(row) for row in rows], np.int64)
        frequency = np.concatenate(list(rows)).astype(np.uint64)
        self.first: Ints = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
        sums = np.add.reduceat(frequency, self.first)
        if frequency.min() < 1 or frequency.max() >= TOTAL or (sums != TOTAL).any():
            raise ValueError(f"frequencies must be at least 1 and sum to {TOTAL} in every row")
        begins = np.cumsum(frequency) - frequency  # row r begins at r * TOTAL
        self._lengths = lengths
        self._edges = begins
        self._frequency = frequency
        self._start = begins & _MASK

    def intervals(self, places: Ints) -> tuple[Heads, Heads]:
        """Return start and frequency of each symbol; `places` and both results have the same shape."""
        return self._start[places], self._frequency[places]

    def holds(self, rows: Ints, places: Ints) -> bool:
        """Return True if every place belongs to its row; `rows` and `places` have the same shape."""
        numbers = places - self.first[rows]
        return bool(((numbers >= 0) & (numbers < self._lengths[rows])).all())

    def places(self, rows: Heads, slots: Heads) -> Ints:
        """Return the symbol of each row whose interval contains the slot 0..2^24 - 1; (symbols,)."""
        keys = (rows << _PRECISION) | slots
        return np.searchsorted(self._edges, keys, side="right") - 1


class Message:
    """A message: the state of each lane, `heads` (lanes,), and a stack `words`, the last one on top.

    If a pop needs more words than the stack has, the next words of `supply` are put below the stack;
    `supplied` is their number so far. Without a supply, such a pop raises DamagedFileError.
    """

    def __init__(
        self, heads: Heads, words: Words, supply: Supply | None = None, supplied: int = 0
    ) -> None:
        self.heads = heads.copy()
        self.supplied = supplied
        self._supply = supply
        self._size = len(words)
        self._buffer = np.empty(max(1024, 2 * len(words)), np.uint32)
        self._buffer[: self._size] = words

    @property
    def words(self) -> Words:
        """Words of the stack, the last one on top; (words,)."""
        return self._buffer[: self._size].copy()

    def open_lanes(self, lanes: int) -> None:
        """Add lanes up to this number; a new state is 2^32 plus a word from the stack."""
        new = self._take(max(0, lanes - len(self.heads)))
        self.heads = np.concatenate([self.heads, new.astype(np.uint64) | _LOWEST_HEAD])

    def close_lanes(self, lanes: int) -> None:
        """Undo `open_lanes`; raises DamagedFileError if a state is not one that it makes."""
        last = self.heads[lanes:]
        if (last >> _WORD != 1).any():
            raise DamagedFileError("a lane does not end in its initial state: the file was changed")
        self._put(last)
        self.heads = self.heads[:lanes].copy()

    def push(self, distributions: Distributions, places: Ints) -> None:
        """Push symbols (lanes in use, symbols per lane), beginning with the last of each lane."""
        start, frequency = (
            np.ascontiguousarray(a.T) for a in distributions.intervals(places[:, ::-1])
        )
        limit = frequency << _LIMIT_SHIFT
        head = self.heads[: len(places)]
        for i in range(len(start)):
            full = head >= limit[i]
            if full.any():
                self._put(head[full])
                head[full] >>= _WORD
            quotient, remainder = np.divmod(head, frequency[i])
            quotient <<= _PRECISION
            quotient += remainder
            np.add(quotient, start[i], out=head)

    def pop(self, distributions: Distributions, rows: Ints) -> Ints:
        """Pop the symbols that `push` pushed; `rows` and result (lanes in use, symbols per lane)."""
        head = self.heads[: len(rows)]
        row_of = np.ascontiguousarray(rows.T).astype(np.uint64)
        places = np.empty(row_of.shape, np.int64)
        for i in range(len(row_of)):
            slot = head & _MASK
            place = distributions.places(row_of[i], slot)
            start, frequency = distributions.intervals(place)
            np.multiply(frequency, head >> _PRECISION, out=head)
            head += slot - start
            low = head < _LOWEST_HEAD
            if low.any():
                refill = head[low] << _WORD
                head[low] = refill | self._take(len(refill))
            places[i] = place
        return np.ascontiguousarray(places.T)

    def _put(self, values: Heads) -> None:
        """Push the low 32 bits of each value."""
        size = self._size + len(values)
        if size > len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        self._buffer[self._size : size] = values.astype(np.uint32)  # keeps the low 32 bits
        self._size = size

    def _take(self, count: int) -> NDArray[Any]:
        if count > self._size:
            self._extend(count - self._size)
        self._size -= count
        return self._buffer[self._size : self._size + count]

    def _extend(self, missing: int) -> None:
        """Put the next words of the supply below all others."""
        if self._supply is None:
            raise DamagedFileError("the compressed data ends too early")
        supplied = self.supplied + missing
        below = self._supply(supplied)[self.supplied :][::-1]
        self._buffer = np.concatenate([below, self._buffer])
        self._size += missing
        self.supplied = supplied
