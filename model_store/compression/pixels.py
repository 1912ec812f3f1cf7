"""Distributions of a pixel's grey level, 0..255, given the decoder's logit.

A Bernoulli likelihood of grey pixels is not a distribution over 256 levels. Models with such a
likelihood have a table, which counts how often each level occurs in training images at each logit.
For models with a discretised logistic likelihood, the distribution is the likelihood.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from model_store.arithmetic import likelihood, rounding
from model_store.arithmetic.program import Floats
from model_store.compression.ans import TOTAL, Distributions, Ints
from model_store.errors import CorruptVersionError

GREY_LEVELS = 256
BIN_EXPONENT = 6
"""Logits are integers in units of 2^-8; a bin holds 2^6 of them, so it is 1/4 wide."""
BINS = (2 * likelihood.LIMIT >> BIN_EXPONENT) + 1
WEIGHT_EXPONENT = 3
"""Log weights are in units of 2^-3 octaves."""
HIGHEST_LOG_WEIGHT = 24 << WEIGHT_EXPONENT
MEANS_PER_LEVEL = 4
"""Means of the discretised logistic are rounded to a quarter of a grey level."""
MEANS = 255 * MEANS_PER_LEVEL + 1
ERROR = 2.0**-46
"""Allowed absolute error of a sigmoid in float64."""

TENSOR = "log_weights"
EIGHTHS = np.array([256, 279, 304, 332, 362, 395, 431, 470], np.int64)
"""Weights rint(256 * 2^(i / 8)) of the log weights i = 0..7."""

LogWeights = NDArray[np.uint8]


class PixelModel(Protocol):
    """Distribution p(level | logit) of each value of an image."""

    distributions: Distributions
    sha256: bytes
    """SHA-256 of the data, besides the exact network, that define the distributions."""

    def rows(self, logits: Floats) -> Ints:
        """Return the row of `distributions` of each logit, in units of 2^-8; (batch, values)."""
        ...


class CountedPixels:
    """Counted distributions; `log_weights` (BINS, 256), in eighths of an octave.

    A level's weight is 2^(log_weight / 8), computed with the integers of EIGHTHS. Its frequency is
    the weight, scaled to the sum 2^24 - 256 and rounded down, plus 1. The level with the largest
    weight also gets the remainder.
    """

    def __init__(self, log_weights: LogWeights) -> None:
        if log_weights.shape != (BINS, GREY_LEVELS) or log_weights.dtype != np.uint8:
            raise CorruptVersionError(
                f"pixel table is {log_weights.dtype} {log_weights.shape}, "
                f"expected uint8 {(BINS, GREY_LEVELS)}"
            )
        if log_weights.max() > HIGHEST_LOG_WEIGHT:
            raise CorruptVersionError(f"a log weight is above {HIGHEST_LOG_WEIGHT}")
        self.distributions = Distributions(list(frequencies(log_weights)))
        self.sha256 = hashlib.sha256(np.ascontiguousarray(log_weights).tobytes()).digest()

    def rows(self, logits: Floats) -> Ints:
        """Return the bin of each logit, in units of 2^-8; (batch, values)."""
        return logit_bins(logits)


class LogisticPixels:
    """The discretised logistic likelihood; `log_scale` (channels,), ln of each channel's scale."""

    def __init__(self, log_scale: Floats) -> None:
        scales = [float(value) for value in log_scale.reshape(-1)]
        self.distributions = Distributions([row for s in scales for row in _logistic(s)])
        self.sha256 = hashlib.sha256(b"").digest()  # log_scale is part of the exact network

    def rows(self, logits: Floats) -> Ints:
        """Return channel * MEANS + mean, with means in quarters of a grey level; (batch, values)."""
        fine = likelihood.fine_means(logits)
        means = (fine * MEANS_PER_LEVEL + likelihood.FINE // 2) // likelihood.FINE
        channels = np.arange(logits.shape[1]).reshape(1, -1, 1, 1) * MEANS
        return (means + channels).reshape(len(logits), -1)


def logit_bins(logits: Floats) -> Ints:
    """Return the bins of logits in units of 2^-8; (batch, ...) -> (batch, values)."""
    places = likelihood.logit_levels(logits).reshape(len(logits), -1)
    return ((places + (1 << BIN_EXPONENT >> 1)) >> BIN_EXPONENT).astype(np.int64)


def frequencies(log_weights: LogWeights) -> Ints:
    """Return integer frequencies of log weights; both (rows, 256). Every row sums to 2^24."""
    whole, eighths = np.divmod(log_weights.astype(np.int64), 1 << WEIGHT_EXPONENT)
    weights = EIGHTHS[eighths] << whole  # at most 2^32: products stay below 2^56
    sums = weights.sum(axis=1, keepdims=True)
    frequency: Ints = weights * (TOTAL - GREY_LEVELS) // sums + 1
    heaviest = weights.argmax(axis=1)
    frequency[np.arange(len(weights)), heaviest] += TOTAL - frequency.sum(axis=1)
    return frequency


def to_bytes(log_weights: LogWeights) -> bytes:
    """Serialise a table of log weights: pixels.safetensors."""
    return safetensors.numpy.save({TENSOR: np.ascontiguousarray(log_weights)})


def from_bytes(content: bytes) -> CountedPixels:
    """Read pixels.safetensors; raises CorruptVersionError."""
    try:
        tensors = safetensors.numpy.load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise CorruptVersionError(f"pixel table is unreadable: {error}") from error
    if tensors.keys() != {TENSOR}:
        raise CorruptVersionError(f"pixel table has tensors {sorted(tensors)}, expected {TENSOR}")
    return CountedPixels(tensors[TENSOR])


def _logistic(log_scale: float) -> Ints:
    """Return the frequencies of all means of one channel; (MEANS, 256).

    The cumulative frequency below a level is sigmoid((level - 1/2 - mean) / 255 / scale) times
    (2^24 - 256), rounded, plus the level.
    """
    half = MEANS_PER_LEVEL // 2
    lowest = -(MEANS - 1) - half
    distances = np.arange(lowest, MEANS - half)  # from a mean to an edge, in quarters of a level
    values = np.clip(distances * (np.exp(-log_scale) / (MEANS - 1)), -700, 700)
    scaled = (TOTAL - GREY_LEVELS) / (1 + np.exp(-values))

    def exactly(i: int) -> Decimal:
        return rounding.DIGITS.multiply(
            _exact_sigmoid(int(distances[i]), log_scale), Decimal(TOTAL - GREY_LEVELS)
        )

    rounded = _certain_integers(scaled, exactly)
    edges = np.arange(GREY_LEVELS) * MEANS_PER_LEVEL - half
    means = np.arange(MEANS)
    cumulative = np.empty((MEANS, GREY_LEVELS + 1), np.int64)
    cumulative[:, :-1] = rounded[edges - means[:, None] - lowest]
    cumulative[:, 0], cumulative[:, -1] = 0, TOTAL - GREY_LEVELS
    return np.diff(cumulative + np.arange(GREY_LEVELS + 1), axis=1)


def _certain_integers(values: NDArray[np.float64], exactly: Callable[[int], Decimal]) -> Ints:
    """Round to integers, by `exactly(index)` if an error of float64 could change the result; (n,)."""
    error = TOTAL * ERROR
    low, high = np.rint(values - error), np.rint(values + error)
    rounded: Ints = low.astype(np.int64)
    for index in np.flatnonzero(low != high).tolist():
        rounded[index] = int(exactly(index).to_integral_value())
    return rounded


def _exact_sigmoid(distance: int, log_scale: float) -> Decimal:
    """Return sigmoid(distance / (255 * MEANS_PER_LEVEL) / scale) with fifty digits."""
    digits = rounding.DIGITS
    inverse = digits.exp(Decimal(-log_scale))
    value = digits.divide(digits.multiply(Decimal(-distance), inverse), Decimal(MEANS - 1))
    return digits.divide(Decimal(1), digits.add(Decimal(1), digits.exp(value)))
