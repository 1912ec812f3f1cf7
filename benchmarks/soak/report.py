"""Print what a soak found, and judge the slopes."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.common.recording import table
from benchmarks.soak.faults import Faults
from benchmarks.soak.load import Outcome
from benchmarks.soak.samples import Sample, slope_per_hour

GROWTH = {"memory_mib": 32.0, "files": 30.0, "threads": 2.0}
"""Growth per hour above which a process is said to leak. Within an hour of load, memory varies by
some MiB, because the allocator keeps what a peak needed, and open files with the connections that a
killed worker leaves to the others. Promotions, kills and leaving clients are 360, 60 and more an hour."""
_UNITS = {"memory_mib": "memory (MiB)", "files": "open files", "threads": "threads"}


def leaks(series: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Return a line for each process and attribute that grows."""
    return [
        f"{name}: {_UNITS[attribute]} grows by {slope:.1f} per hour; {limit:g} are allowed"
        for name, samples in series.items()
        for attribute, limit in GROWTH.items()
        if (slope := slope_per_hour(samples, attribute)) > limit
    ]


def slopes_table(series: Mapping[str, Sequence[Sample]]) -> str:
    """Return first, last and largest value, and slope per hour, of each lasting process."""
    rows = []
    for name, samples in series.items():
        for attribute, label in _UNITS.items():
            values = [getattr(sample, attribute) for sample in samples]
            slope = slope_per_hour(samples, attribute)
            numbers = [values[0], values[-1], max(values)]
            rows.append([name, label, *(f"{value:.0f}" for value in numbers), f"{slope:+.1f}"])
    return table(["process", "quantity", "first", "last", "largest", "slope per hour"], rows)


def load_table(outcome: Outcome, faults: Faults, rate: float, capacity: float) -> str:
    """Return what was sent, what came back, and what was done to the server."""
    seconds = sorted(outcome.seconds) or [0.0]
    rows = [
        ["capacity, requests/s", f"{capacity:.0f}"],
        ["rate, requests/s", f"{rate:.0f}"],
        *(
            [f"answers with {status}", f"{count}"]
            for status, count in sorted(outcome.statuses.items())
            if status
        ),
        ["connections that broke", f"{outcome.statuses[0]}"],
        ["idle connections that were closed", f"{outcome.replaced}"],
        ["clients that left", f"{outcome.left}"],
        ["requests not sent, since 64 were in progress", f"{outcome.late}"],
        ["median time, ms", f"{1000 * statistics.median(seconds):.1f}"],
        ["99th percentile, ms", f"{1000 * seconds[int(0.99 * (len(seconds) - 1))]:.1f}"],
        ["promotions", f"{faults.promotions}"],
        ["promotions that were lost with their worker, and sent again", f"{faults.cut}"],
        ["promotions that failed", f"{len(faults.refused)}"],
        ["killed workers", f"{faults.kills}"],
    ]
    return table(["quantity", "value"], rows)
