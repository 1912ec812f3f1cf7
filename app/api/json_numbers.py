"""Read and write large arrays of numbers as JSON, in pieces.

A JSON library reads or writes an array in one call, during which no other thread of the process can
run Python. These functions work on a few thousand numbers per call, so that the event loop can run
between two pieces, and make no Python object for a bracket.
"""

import json
from collections.abc import Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.typing import Floats

MAX_RANK = 8
"""Largest number of nested arrays."""

MAX_DIGITS = 65_536
"""Characters of the longest number."""

Text = bytes | msgspec.Raw
_BETWEEN_NUMBERS = b"[] \t\r\n"
_NUMBER_BYTES = b"0123456789.eE+- \t\r\n"
"""All bytes of JSON numbers, and the white space between them."""
_READ_BYTES = 65_536
"""Bytes of text that are read at once, in a fraction of a millisecond."""
_WRITTEN_NUMBERS = 4096
"""Numbers that are written at once, in 1 to 2 ms."""
_DECODER = msgspec.json.Decoder(list[float])


class NotNumbersError(ValueError):
    """The JSON value is not an array of numbers; the message continues "data is ..."."""


class RaggedError(NotNumbersError):
    """The nested arrays have different lengths."""


def has_more_values(text: bytes, most: int) -> bool:
    """Return True if a JSON text has more than `most` values, before anything decodes it.

    A decoder skips 10 million short numbers in one call of 0.1 s, but the same bytes of long ones in a
    tenth of it. Commas in strings count as well.
    """
    return len(text) > most and sum(piece.count(b",") for piece in _pieces(text)) >= most


def array_shape(text: Text) -> tuple[int, ...]:
    """Return the shape of a JSON array of numbers, which may be nested.

    The text has to be valid JSON. Raises NotNumbersError, and RaggedError if nested arrays differ in
    length or one of them is empty.
    """
    parts = [piece.translate(None, _NUMBER_BYTES) for piece in _pieces(text)]
    skeleton = b"".join(parts)  # such as [[,],[,]]
    if not skeleton.startswith(b"[") or skeleton.translate(None, b"[],"):
        raise NotNumbersError("not an array of numbers")
    if skeleton == b"[]" and not any(piece.strip(_BETWEEN_NUMBERS) for piece in _pieces(text)):
        return (0,)
    rank = len(skeleton) - len(skeleton.lstrip(b"["))
    if rank > MAX_RANK:
        raise NotNumbersError(f"nested more than {MAX_RANK} arrays deep")
    return _nested_shape(skeleton, rank)


def _pieces(text: Text) -> Iterator[bytes]:
    view = memoryview(text)
    for start in range(0, len(view), _READ_BYTES):
        yield bytes(view[start : start + _READ_BYTES])


def _nested_shape(skeleton: bytes, rank: int) -> tuple[int, ...]:
    """Return the shape of a skeleton such as [[,],[,]], the innermost arrays first measured."""
    shape: list[int] = []
    unit = b""  # of the innermost array: a number
    for depth in range(1, rank + 1):
        start = rank - depth
        length = skeleton.find(b"]" * depth) + depth - start
        # A block holds n units and n - 1 commas between two brackets.
        n = (length - 1) // (len(unit) + 1)
        if n < 1:
            raise RaggedError("not rectangular: its arrays differ in length")
        unit = b"[" + (unit + b",") * (n - 1) + unit + b"]"
        shape.insert(0, n)
    if unit != skeleton:
        raise RaggedError("not rectangular: its arrays differ in length")
    return tuple(shape)


def read_numbers(text: Text, count: int) -> NDArray[np.float64]:
    """Return the numbers of a JSON array that `array_shape` accepted and that has `count` numbers.

    Raises NotNumbersError if the array has another number of them or one of more than MAX_DIGITS
    characters, and OverflowError for a number beyond float64.
    """
    values = np.empty(count, np.float64)
    filled = 0
    for piece in _number_pieces(text):
        numbers = _read_piece(piece)
        if len(numbers) > count - filled:
            raise NotNumbersError("not an array of numbers")
        values[filled : filled + len(numbers)] = numbers
        filled += len(numbers)
    if filled < count:
        raise NotNumbersError("not an array of numbers")
    return values


def _number_pieces(text: Text) -> Iterator[bytes]:
    """Yield the text in pieces that begin and end with whole numbers, without brackets and spaces."""
    rest = b""
    for piece in _pieces(text):
        flat = rest + piece.translate(None, _BETWEEN_NUMBERS)
        numbers, comma, rest = flat.rpartition(b",")
        if comma:
            yield numbers
        if len(rest) > MAX_DIGITS:
            raise NotNumbersError(f"not numbers of at most {MAX_DIGITS} characters")
    if rest:
        yield rest


def _read_piece(text: bytes) -> list[float]:
    try:
        return _DECODER.decode(b"[" + text + b"]")
    except msgspec.ValidationError as error:
        raise OverflowError("a number is beyond float64") from error
    except msgspec.DecodeError as error:
        raise NotNumbersError("not an array of numbers") from error


def write_numbers(values: Floats) -> Iterator[str]:
    """Yield the parts of a JSON array of all values, as `json.dumps` writes it.

    Raises ValueError for a value that is not finite.
    """
    row = values.ravel()
    yield "["
    for start in range(0, len(row), _WRITTEN_NUMBERS):
        piece = json.dumps(row[start : start + _WRITTEN_NUMBERS].tolist(), allow_nan=False)
        yield piece[1:-1] if start == 0 else f", {piece[1:-1]}"
    yield "]"
