"""Metrics that are read when Prometheus asks: readiness, degradation, living workers, memory.

Whichever worker answers reads them for the whole service: the workers are those with a file in the
folder of shared metrics, from which the supervisor removes the files of workers that have died.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_FILES_OF_LIVING_WORKERS = "gauge_livesum_*.db"


class Health(NamedTuple):
    """The answer of `/readyz`, as numbers."""

    ready: bool
    degraded: int
    """Number of reasons for which the service is degraded."""


class ServiceState(Collector):
    """The gauges of one service. `health` returns its state, or None until the app has started."""

    def __init__(self, shared: Path | None, health: Callable[[], Health] | None = None) -> None:
        self._shared = shared
        self.health = health

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        health = self.health() if self.health is not None else Health(ready=False, degraded=0)
        yield GaugeMetricFamily(
            "zserve_ready", "1 if /readyz answers 200, else 0.", value=int(health.ready)
        )
        yield GaugeMetricFamily(
            "zserve_degraded",
            "Number of reasons for which /readyz says that the service is degraded.",
            value=health.degraded,
        )
        pids = self._workers()
        yield GaugeMetricFamily("zserve_workers", "Living worker processes.", value=len(pids))
        yield GaugeMetricFamily(
            "zserve_resident_memory_bytes",
            "Resident memory of all living workers; pages that they share count once for each.",
            value=sum(map(_resident_bytes, pids)),
        )

    def _workers(self) -> list[int]:
        """Return the process ids of the living workers."""
        if self._shared is None:
            return [os.getpid()]
        names = (path.stem for path in self._shared.glob(_FILES_OF_LIVING_WORKERS))
        return [int(name.rpartition("_")[2]) for name in names]


def _resident_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 if it has ended or the system has no /proc."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0
