"""Medians, intervals from order statistics, and ratios of values from the same round."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

MIN_COVERAGE = 0.9
"""Coverage that an interval must have if there are enough rounds for it."""


@dataclass(frozen=True)
class Estimate:
    """A median, and an interval that contains the true median with probability `coverage`."""

    median: float
    low: float
    high: float
    coverage: float
    rounds: int


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median and the narrowest interval of order statistics with MIN_COVERAGE.

    If there are too few values for that coverage, the interval is from the smallest to the
    largest. The interval from the k-th smallest to the k-th largest of n independent values
    contains the median of their distribution with probability 1 - 2 P(Binomial(n, 1/2) < k)
    (David & Nagaraja 2003, "Order statistics", section 7.1). No distribution is assumed.
    """
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    n = len(ordered)
    k = _narrowest(n)
    return Estimate(
        statistics.median(ordered), ordered[k - 1], ordered[n - k], max(coverage(n, k), 0.0), n
    )


def coverage(n: int, k: int) -> float:
    """Return the probability that [k-th smallest, k-th largest] of n values has the median."""
    return float(1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n)


def _narrowest(n: int) -> int:
    """Return the largest k whose interval has MIN_COVERAGE, or 1 if there is none."""
    outside = 0
    for i in range(n // 2):
        outside += math.comb(n, i)
        if 1 - 2 * outside / 2**n < MIN_COVERAGE:
            return max(i, 1)
    return max(n // 2, 1)


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Estimate above / below from the ratio in each round.

    Anything that slows the machine during a round affects both values, and hardly their ratio.
    """
    return estimate([a / b for a, b in zip(above, below, strict=True)])


def difference(minuend: Sequence[float], subtrahend: Sequence[float]) -> Estimate:
    """Estimate minuend - subtrahend from the difference in each round."""
    return estimate([a - b for a, b in zip(minuend, subtrahend, strict=True)])
