"""Grey levels and likelihoods of a decoder's logits, as sums of integers.

Logits are integers l, in units of 2^-8, clamped to [-16, 16]. Likelihoods are sums of table entries
in units of 2^-20 nats, so their order does not matter.
"""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.program import SIGMOID_EXPONENT, SIGMOID_LIMIT, Bytes, Floats

LIMIT = SIGMOID_LIMIT * 2**SIGMOID_EXPONENT
NATS = 2.0**20
"""Number of units of a table entry that make one nat."""
FINE = 16
"""Steps of the mean within one grey level, for the discretised logistic."""

ROUNDER = np.float32(1.5 * 2**23)
"""Adding it to a small float32 leaves the nearest integer (ties to even) in the sum's low bits."""
ROUNDER_BITS = int(ROUNDER.view(np.int32))

Ints = NDArray[np.int32]
Table = NDArray[np.int64]


def logit_levels(logits: Floats) -> Ints:
    """Return the tables' index, 0..2 LIMIT, of logits in units of 2^-8; same shape."""
    sums = np.clip(logits, -LIMIT, LIMIT)
    sums += ROUNDER
    levels: Ints = sums.view(np.int32)
    levels -= ROUNDER_BITS - LIMIT
    return levels


def grey_levels(logits: Floats) -> Bytes:
    """Return the mean image's grey levels, 0..255, of logits in units of 2^-8; same shape."""
    return grey_table().take(logit_levels(logits))


def fine_means(logits: Floats) -> Table:
    """Return the mean in units of 1/FINE grey level, of logits in units of 2^-8; same shape."""
    return _fine_table()[logit_levels(logits)]


def bernoulli(levels: Bytes, logits: Floats) -> Floats:
    """Return ln p(x | z) of grey levels 0..255 and logits; both (batch, ...) -> (batch,), nats.

    x ln p + (1 - x) ln (1 - p) = x l - softplus(l), with x = level / 255.
    """
    place = logit_levels(logits).reshape(len(logits), -1)
    grey = levels.reshape(len(levels), -1).astype(np.int64)
    products = (grey * (place - LIMIT)).sum(axis=1)
    softplus = _softplus_table()[place].sum(axis=1)
    nats = products / (255 * 2.0**SIGMOID_EXPONENT) - softplus / NATS
    return np.asarray(nats, np.float32)


class DiscretisedLogistic:
    """ln p(x | z) with a learned scale for each channel; `log_scale` (channels,), ln of the scale.

    The mean is rounded to a sixteenth of a grey level.
    """

    def __init__(self, log_scale: Floats) -> None:
        tables = [_logistic_tables(float(value)) for value in log_scale.reshape(-1)]
        self._tables = np.stack(tables)  # (channels, 3, 2 * 255 * FINE + 1)

    def __call__(self, levels: Bytes, logits: Floats) -> Floats:
        """Return ln p(x | z); levels, logits (batch, channels, height, width) -> (batch,), nats."""
        mean = fine_means(logits)
        grey = levels.astype(np.int64)
        distance = grey * FINE - mean + 255 * FINE
        edge = (grey == 0).astype(np.intp) + 2 * (grey == 255)
        channel = np.arange(levels.shape[1]).reshape(1, -1, 1, 1)
        nats = self._tables[channel, edge, distance].reshape(len(levels), -1).sum(axis=1)
        return np.asarray(nats / NATS, np.float32)


@functools.cache
def grey_table() -> Bytes:
    """Return the grey levels, 0..255, of the logits -LIMIT to LIMIT in units of 2^-8."""
    return np.asarray(np.rint(_sigmoid() * 255), np.uint8)


@functools.cache
def _fine_table() -> Table:
    return np.asarray(np.rint(_sigmoid() * 255 * FINE), np.int64)


@functools.cache
def _softplus_table() -> Table:
    return np.rint(np.log1p(np.exp(_logits())) * NATS).astype(np.int64)


def logistic_margin(log_scale: float) -> float:
    """Return the smallest distance of a table entry from a rounding boundary, in allowed errors.

    If it is above 1, every machine computes the same table. The allowed relative error is 2^-49.
    """
    values = _logistic_nats(log_scale) * NATS
    distance = np.abs(values - np.floor(values) - 0.5)
    return float((distance / (np.abs(values) * 2.0**-49 + 1e-9)).min())


def _logistic_tables(log_scale: float) -> Table:
    return np.rint(_logistic_nats(log_scale) * NATS).astype(np.int64)


def _logistic_nats(log_scale: float) -> NDArray[np.float64]:
    """Return ln of a level's probability by its distance from the mean; (3, distances), nats.

    Row 0 is for levels 1..254, row 1 for level 0 and everything below it, row 2 for level 255 and
    everything above it.
    ln(sigmoid(u) - sigmoid(l)) = ln sigmoid(u) + ln sigmoid(-l) + ln(1 - exp(l - u)).
    """
    reach = 255 * FINE
    distance = np.arange(-reach, reach + 1) / reach
    half, inverse = 0.5 / 255, np.exp(-log_scale)
    below, above = (
        _log_sigmoid((distance + half) * inverse),
        _log_sigmoid((half - distance) * inverse),
    )
    inside = below + above + np.log(-np.expm1(-2 * half * inverse))
    return np.stack([inside, below, above])


def _log_sigmoid(x: NDArray[np.float64]) -> NDArray[Any]:
    return -np.logaddexp(0, -x)


def _sigmoid() -> NDArray[Any]:
    return 1 / (1 + np.exp(-_logits()))


def _logits() -> NDArray[np.float64]:
    return np.arange(-LIMIT, LIMIT + 1) * 2.0**-SIGMOID_EXPONENT
