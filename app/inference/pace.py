"""Measured rates: how long rows of a model take, and how much other work delays them."""

from collections.abc import Mapping

from app.inference.executor import Function

UNMEASURED_S = 1e-6
"""Time (s) of a row of a function that was never measured: jobs must take some time to take turns."""
_FULL_BATCHES = 8
"""Number of full batches after which an old measurement has lost most of its weight."""
_MOST_SLOWDOWN = 100.0


class Pace:
    """Measured time per row of each function of one model.

    A batch counts by its share of a full batch, because waiting rows are computed in full batches
    and the fixed costs of a small batch say little about them.
    """

    def __init__(self, seconds_per_row: Mapping[Function, float] | None = None) -> None:
        self._seconds_per_row: dict[Function, float] = dict(seconds_per_row or {})

    def seconds_per_row(self, function: Function) -> float:
        """Return the measured time (s) of one row, or UNMEASURED_S."""
        return self._seconds_per_row.get(function, UNMEASURED_S)

    def record(self, function: Function, rows: int, full_batch: int, seconds: float) -> None:
        """Record a batch of `rows` rows, padding included, of at most `full_batch`."""
        measured = seconds / rows
        old = self._seconds_per_row.get(function)
        if old is not None:
            measured = old + (measured - old) * min(1.0, rows / full_batch) / _FULL_BATCHES
        self._seconds_per_row[function] = measured


class Slowdown:
    """Elapsed time per second of computation while requests wait; at least 1.

    Between two batches the event loop reads requests, encodes images and writes answers. This is
    measured only while rows wait, because otherwise the engine idles in between.
    """

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._computing_s = 0.0
        self.factor = 1.0

    def record(self, elapsed_s: float, computing_s: float) -> None:
        """Record the time from the end of one batch to the end of the next, and its computation."""
        keep = 1.0 - 1.0 / _FULL_BATCHES
        self._elapsed_s = keep * self._elapsed_s + elapsed_s
        self._computing_s = keep * self._computing_s + computing_s
        if self._computing_s > 0.0:
            self.factor = min(_MOST_SLOWDOWN, max(1.0, self._elapsed_s / self._computing_s))
