"""Normal numbers from uniform words, correctly rounded to float32.

    u, v       = (high 32 bits + 1) / 2^32, (low 32 bits) / 2^32           (0, 1], [0, 1)
    even, odd  = sqrt(-2 ln u) cos(2 pi v), sqrt(-2 ln u) sin(2 pi v)

Box & Muller 1958, "A note on the generation of random normal deviates". Each result is the float32
nearest to the real number, so it does not depend on a library's logarithm or cosine.
"""

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic import rounding
from model_store.arithmetic.program import Floats

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)
_UNIT = Decimal(2) ** -32
_ERROR = 2.0**-48
"""Allowed absolute error of the float64 results, as a multiple of the radius sqrt(-2 ln u).

It is 32 times the usual error.
"""


def box_muller(words: NDArray[np.uint64]) -> Floats:
    """Return numbers from N(0, 1), (batch, 2 words), of (batch, words) of 64 random bits each."""
    u = ((words >> _HIGH).astype(np.float64) + 1.0) * 2.0**-32
    angle = (words & _LOW).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    radius = np.sqrt(-2.0 * np.log(u))
    z = np.empty((*words.shape, 2), np.float64)
    np.multiply(radius, np.cos(angle), out=z[..., 0])
    np.multiply(radius, np.sin(angle), out=z[..., 1])

    def exactly(index: tuple[int, ...]) -> Decimal:
        return _exact_normal(int(words[index[:-1]]), odd=bool(index[-1]))

    normals = rounding.to_float32(z, (radius * _ERROR)[..., None], exactly)
    return normals.reshape(len(words), -1)


def _exact_normal(word: int, *, odd: bool) -> Decimal:
    """Return one of the two numbers of a word, with fifty digits."""
    context = rounding.DIGITS
    log_u = context.ln(context.multiply(Decimal((word >> 32) + 1), _UNIT))
    radius = context.sqrt(context.multiply(Decimal(-2), log_u))
    turn = context.multiply(Decimal(word & 0xFFFFFFFF), _UNIT)
    if odd:  # sin(2 pi v) = cos(2 pi (v - 1/4))
        turn = context.subtract(turn, Decimal("0.25"))
    return context.multiply(radius, rounding.cos_turns(turn))
