"""Factors by which couplings of a flow scale latents: a table over raw scales.

A raw scale r is rounded to a multiple of 2^-12, and becomes the factor exp(2 tanh(r / 2)).
"""

import functools

import numpy as np

from model_store.arithmetic.program import Floats

RAW_EXPONENT = 12
"""Raw scales are rounded to multiples of 2^-12."""
RAW_LIMIT = 12
"""Raw scales are clamped to [-12, 12], beyond which tanh(r / 2) is 1 to within 2^-16."""
MAX_LOG_SCALE = 2.0
"""Largest ln of the factor by which a coupling scales a dimension."""
LARGEST_LEVEL = RAW_LIMIT * 2**RAW_EXPONENT
"""Largest raw scale in units of 2^-12."""


def factor(raw: Floats) -> Floats:
    """Return exp(2 tanh(raw / 2)) of raw scales; same shape."""
    levels = np.rint(raw * np.float32(2.0**RAW_EXPONENT))
    levels = np.clip(levels, -LARGEST_LEVEL, LARGEST_LEVEL)
    return np.asarray(factors()[levels.astype(np.intp) + LARGEST_LEVEL])


@functools.cache
def factors() -> Floats:
    """Return the table of factors; index 0 belongs to the raw scale -RAW_LIMIT."""
    raw = np.arange(-LARGEST_LEVEL, LARGEST_LEVEL + 1) * 2.0**-RAW_EXPONENT
    return np.asarray(np.exp(MAX_LOG_SCALE * np.tanh(raw / 2)), np.float32)
