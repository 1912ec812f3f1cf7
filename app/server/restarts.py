"""The delay before a worker that ended is replaced, and the workers that a restart has yet to replace."""

from collections.abc import Container, Iterable


class RestartDelay:
    """Delay before another try to start a worker, which grows with each failure in a row.

    Only the end of a worker before it was ready is a failure. A worker that has answered requests is
    replaced at once.

    Attributes:
        failures: Number of failures since a worker was ready.
    """

    TRIES = 5
    """Failures in a row after which the service gives up, unless other workers answer."""
    LONGEST_S = 30.0

    def __init__(self) -> None:
        self.failures = 0

    def after_failure(self) -> float:
        """Count a failure, and return the seconds to wait before the next try."""
        self.failures += 1
        return min(0.1 * 2.0 ** min(self.failures, 20), self.LONGEST_S)

    def reset(self) -> None:
        """Forget the failures, because a worker is ready."""
        self.failures = 0

    @property
    def exhausted(self) -> bool:
        """True after TRIES failures in a row."""
        return self.failures >= self.TRIES


class RollingRestart:
    """The workers that are replaced one by one.

    Attributes:
        outdated: Process ids of the workers that have no replacement yet, the oldest one first.
        replacement: Process id of the worker that is starting in place of one of them.
    """

    def __init__(self) -> None:
        self.outdated: list[int] = []
        self.replacement: int | None = None

    def begin(self, pids: Iterable[int]) -> None:
        """Replace all these workers; a worker that is starting as a replacement stays one."""
        self.outdated = [pid for pid in pids if pid != self.replacement]

    def keep(self, pids: Container[int]) -> None:
        """Keep only the workers `pids` on the list; one that has ended is replaced like any other."""
        self.outdated = [pid for pid in self.outdated if pid in pids]

    def abandon(self) -> None:
        """End the restart: the outdated workers that are left go on working."""
        self.outdated = []
        self.replacement = None
