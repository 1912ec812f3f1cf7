"""Sample memory, open files and threads of processes from /proc, and fit slopes."""

import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20
_MAX_POINTS = 200
"""Points of a series from which a slope is computed; the pairs of them are compared."""


@dataclass(frozen=True)
class Sample:
    """A process at one time.

    Attributes:
        second: Seconds since the first sample.
        memory_mib: Resident memory, MiB.
        files: Number of open file descriptors.
        threads: Number of threads.
    """

    second: float
    memory_mib: float
    files: int
    threads: int


@dataclass
class Sampler:
    """Samples of a process and all its descendants, by process id."""

    root: int
    series: dict[int, list[Sample]] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def sample(self) -> None:
        """Add a sample of each process that lives."""
        for pid in [self.root, *_descendants(self.root)]:
            with contextlib.suppress(OSError):  # it may end meanwhile
                self.series.setdefault(pid, []).append(self._read(pid))

    def lasting(self) -> dict[int, list[Sample]]:
        """Return the series of the processes that lived from the first to the last sample."""
        whole = self.series[self.root]
        return {
            pid: samples
            for pid, samples in self.series.items()
            if samples[0].second <= whole[0].second + 5 and samples[-1].second >= whole[-1].second
        }

    def _read(self, pid: int) -> Sample:
        folder = PROC / str(pid)
        memory = int((folder / "statm").read_text().split()[1]) * _PAGE_MIB
        files = sum(1 for _ in (folder / "fd").iterdir())
        threads = sum(1 for _ in (folder / "task").iterdir())
        return Sample(time.monotonic() - self._began, memory, files, threads)


def slope_per_hour(samples: Sequence[Sample], attribute: str) -> float:
    """Return the growth of an attribute per hour, by the median of the slopes of all pairs.

    The first fifth, in which caches fill, is left out. The estimate is Theil's, 1950; single peaks
    do not change it.
    """
    settled = samples[len(samples) // 5 :]
    points = settled[:: max(1, len(settled) // _MAX_POINTS)]
    slopes = [
        (getattr(later, attribute) - getattr(earlier, attribute)) / (later.second - earlier.second)
        for i, earlier in enumerate(points)
        for later in points[i + 1 :]
    ]
    return 3600 * statistics.median(slopes) if slopes else 0.0


def children(pid: int) -> list[int]:
    """Return the ids of the children of a process that run its own program, the oldest first.

    Workers are forked, so they have the command line of their supervisor; helpers have not.
    """
    program = (PROC / str(pid) / "cmdline").read_bytes()
    same = []
    for child in _children(pid):
        with contextlib.suppress(OSError):
            if (PROC / str(child) / "cmdline").read_bytes() == program:
                same.append(child)
    return sorted(same, key=_started)


def _started(pid: int) -> int:
    """Return when a process was started, in ticks since the start of the machine."""
    try:
        status = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return 0
    return int(status.rpartition(")")[2].split()[19])


def _children(pid: int) -> list[int]:
    """Return the ids of the children of a process, of all its threads."""
    ids: list[int] = []
    for task in (PROC / str(pid) / "task").iterdir():
        with contextlib.suppress(OSError):
            ids += map(int, (task / "children").read_text().split())
    return ids


def _descendants(pid: int) -> list[int]:
    try:
        below = _children(pid)
    except OSError:
        return []
    return [*below, *(each for child in below for each in _descendants(child))]
