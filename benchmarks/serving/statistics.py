"""Medians, intervals by order statistics, and ratios of what was measured in the same round."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

WANTED = 0.9
"""Coverage of an interval, where there are rounds enough to choose."""


@dataclass(frozen=True)
class Estimate:
    """A median and an interval that holds the true one with probability `coverage`."""

    median: float
    low: float
    high: float
    coverage: float
    rounds: int


def estimate(values: Sequence[float]) -> Estimate:
    """The median, and the narrowest order statistics around it that cover WANTED, or the extremes.

    The interval from the k-th smallest to the k-th largest of n independent values holds their
    distribution's median with probability 1 - 2 P(Binomial(n, 1/2) < k): David & Nagaraja 2003,
    "Order statistics", section 7.1. No distribution is assumed.
    """
    if not values:
        raise ValueError("no values: nothing was measured")
    ordered = sorted(values)
    n = len(ordered)
    k = max((k for k in range(1, n // 2 + 1) if coverage(n, k) >= WANTED), default=1)
    return Estimate(
        statistics.median(ordered), ordered[k - 1], ordered[n - k], max(coverage(n, k), 0.0), n
    )


def coverage(n: int, k: int) -> float:
    """Probability that [k-th smallest, k-th largest] of n values holds the median."""
    return float(1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n)


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """above / below, round by round: what slows the machine in a round falls on both."""
    return estimate([a / b for a, b in zip(above, below, strict=True)])


def difference(minuend: Sequence[float], subtrahend: Sequence[float]) -> Estimate:
    """minuend - subtrahend, round by round."""
    return estimate([a - b for a, b in zip(minuend, subtrahend, strict=True)])
