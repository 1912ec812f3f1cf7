"""The queue of a worker, in virtual time: Poisson arrivals, and batches of constant times.

A worker takes the requests that wait, up to a number, and computes them in one batch; the time of a
batch of k requests is a + c k. Arrivals during a batch wait. With batches of one request this is the
queue M/D/1, whose mean wait is known: rho D / (2 (1 - rho)).

Several workers share arrivals at random, and each has a queue of its own: a worker whose queue is
empty cannot help another one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REQUESTS = 200_000
"""Simulated requests; those of the first tenth are not counted."""


@dataclass(frozen=True)
class BatchTime:
    """Time (s) of a batch of k requests: fixed_s + each_s * k, for k up to `most`."""

    fixed_s: float
    each_s: float
    most: int

    def __call__(self, requests: int) -> float:
        """Return the time of one batch."""
        return self.fixed_s + self.each_s * requests

    @property
    def capacity_per_s(self) -> float:
        """Requests per second of a worker whose batches are always full."""
        return self.most / self(self.most)


def fit(times_s: Mapping[int, float], most: int) -> BatchTime:
    """Fit the time of a batch to measured times of k requests that were sent at once.

    More than `most` requests are computed in several batches, each of which adds the fixed part.
    Errors count relative to the time. Neither part is negative.
    """
    sizes = np.array(sorted(times_s), float)
    seconds = np.array([times_s[int(size)] for size in sizes])
    batches = np.ceil(sizes / most)
    terms = np.stack([batches, sizes], axis=1) / seconds[:, None]
    fixed, each = np.linalg.lstsq(terms, np.ones(len(sizes)))[0]
    if fixed < 0:
        fixed, each = 0.0, float(np.mean(seconds / sizes))
    return BatchTime(float(fixed), float(each), most)


def latencies(rate: float, batch_time: BatchTime, *, workers: int = 1, seed: int = 0) -> Floats:
    """Simulate the requests to one of several workers; return their latencies (s).

    `rate` is that of all requests (1/s).
    """
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(workers / rate, REQUESTS))
    ends = _ends(arrivals, batch_time)
    return (ends - arrivals)[REQUESTS // 10 :]


def _ends(arrivals: Floats, batch_time: BatchTime) -> Floats:
    """Return the time at which each request's batch ends."""
    ends = np.empty_like(arrivals)
    times = [batch_time(k) for k in range(batch_time.most + 1)]
    first, now, count = 0, 0.0, len(arrivals)
    while first < count:
        now = max(now, float(arrivals[first]))
        last = first + 1
        while last < count and last - first < batch_time.most and arrivals[last] <= now:
            last += 1
        now += times[last - first]
        ends[first:last] = now
        first = last
    return ends
