"""Functions whose last bit differs between libraries, correctly rounded to float32.

A library computes in float64, with an error that is bounded. If every number within that error
rounds to the same float32, that float32 is the correctly rounded result on every machine.
Otherwise, once in some ten million values, the value is computed again with fifty digits (Ziv 1991,
"Fast evaluation of elementary mathematical functions with correctly rounded last bit").
"""

from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]

ERROR = 2.0**-46
"""Allowed relative error of a float64 result; 64 times the usual error of these computations."""
DIGITS = Context(prec=50)

PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def to_float32(
    values: Doubles, errors: Doubles, exactly: Callable[[tuple[int, ...]], Decimal]
) -> Floats:
    """Round `values`, whose absolute errors are at most `errors`, to float32; same shape.

    If a value and its error do not determine the float32, `exactly(index)` is rounded instead: it
    returns the real value with fifty digits.
    """
    rounded = (values - errors).astype(np.float32)
    ambiguous = rounded != (values + errors).astype(np.float32)
    if np.count_nonzero(ambiguous):  # a quarter of the time of any()
        for index in zip(*np.nonzero(ambiguous), strict=True):
            place = tuple(int(i) for i in index)
            rounded[place] = nearest_float32(exactly(place))
    return rounded


def nearest_float32(value: Decimal) -> np.float32:
    """Return the float32 nearest to a decimal number; not defined for ties, which do not occur."""
    guess = np.float32(float(value))
    candidates = [
        np.nextafter(guess, np.float32(-np.inf)),
        guess,
        np.nextafter(guess, np.float32(np.inf)),
    ]
    return min(candidates, key=lambda c: abs(DIGITS.subtract(Decimal(float(c)), value)))


def log(values: Doubles) -> Floats:
    """Return ln of positive float64 numbers, correctly rounded to float32; any shape."""
    result = np.log(values)
    errors = np.abs(result) * ERROR + 2.0**-60
    return to_float32(result, errors, lambda i: DIGITS.ln(Decimal(float(values[i]))))


def exp(values: NDArray[Any]) -> Floats:
    """Return e^x of float32 or float64 numbers, correctly rounded to float32; any shape."""
    result = np.exp(values.astype(np.float64))
    return to_float32(result, result * ERROR, lambda i: DIGITS.exp(Decimal(float(values[i]))))


def cos_turns(turn: Decimal) -> Decimal:
    """Return cos(2 pi turn) with fifty digits; any number of turns."""
    turn = DIGITS.remainder(turn, Decimal(1))
    x = DIGITS.multiply(
        DIGITS.multiply(Decimal(2), PI),
        turn if turn <= Decimal("0.5") else DIGITS.subtract(turn, Decimal(1)),
    )
    term, total, n = Decimal(1), Decimal(1), 0
    while DIGITS.abs(term) > Decimal("1e-48"):
        n += 2
        term = DIGITS.divide(
            DIGITS.multiply(DIGITS.multiply(DIGITS.minus(term), x), x), Decimal(n * (n - 1))
        )
        total = DIGITS.add(total, term)
    return total


def sequential_sum(values: NDArray[Any]) -> Doubles:
    """Add up the last axis in float64, from first to last, so that the order is fixed."""
    return np.asarray(np.cumsum(values, axis=-1, dtype=np.float64)[..., -1])


def cos_radians(x: Decimal) -> Decimal:
    """Return cos(x) with fifty digits, x in radians, at most a few turns."""
    return cos_turns(DIGITS.divide(x, DIGITS.multiply(Decimal(2), PI)))


def sin_radians(x: Decimal) -> Decimal:
    """Return sin(x) with fifty digits, x in radians, at most a few turns."""
    return cos_radians(DIGITS.subtract(x, DIGITS.divide(PI, Decimal(2))))


def acos_radians(cosine: Decimal, guess: float) -> Decimal:
    """Return the angle in (0, pi) with this cosine, by Newton's method from a float64 guess."""
    angle = Decimal(guess)
    for _ in range(3):
        error = DIGITS.subtract(cos_radians(angle), cosine)
        angle = DIGITS.add(angle, DIGITS.divide(error, sin_radians(angle)))
    return angle
