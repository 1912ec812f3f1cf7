"""Run the soak: python -m benchmarks.soak [--minutes 30] [--share 0.7] [--workers 2]."""

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record
from benchmarks.soak.faults import Faults, kill_youngest, promote
from benchmarks.soak.load import Load, Outcome
from benchmarks.soak.report import leaks, load_table, slopes_table
from benchmarks.soak.samples import Sample, Sampler, children
from benchmarks.soak.service import publish_twice, serving

JUDGED_MINUTES = 10.0
"""Length from which growth is a fault, in minutes."""
CAPACITY_S = 10.0
"""Seconds for which the capacity is measured before the soak."""


@dataclass
class Soak:
    """Results of a soak.

    Attributes:
        capacity: Requests a second that were answered before the soak.
        rate: Requests a second that were sent.
        outcome: What came back.
        faults: What was done to the server.
        series: Samples of each process that lived from the beginning to the end.
    """

    capacity: float
    rate: float
    outcome: Outcome
    faults: Faults
    series: dict[str, list[Sample]]


async def soak(options: argparse.Namespace, supervisor: int, port: int) -> Soak:
    """Put load and faults on a server, and sample its processes."""
    load, faults, sampler = Load(port), Faults(), Sampler(supervisor)
    capacity = await load.capacity(min(CAPACITY_S, 10 * options.minutes))
    rate = options.share * capacity
    seconds = 60 * options.minutes
    every_s = seconds / max(300, min(900, 2 * seconds))

    async def sample() -> None:
        while True:
            sampler.sample()
            await asyncio.sleep(every_s)

    background = [asyncio.create_task(sample())]
    background.append(
        asyncio.create_task(promote(faults, port, options.model, options.promote_every))
    )
    background.append(asyncio.create_task(kill_youngest(faults, supervisor, options.kill_every)))
    await load.run(rate, seconds)
    sampler.sample()
    for task in background:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*background)
    await load.close()
    series = {_name(pid, supervisor): samples for pid, samples in sampler.lasting().items()}
    return Soak(capacity, rate, load.outcome, faults, series)


def _name(pid: int, supervisor: int) -> str:
    """Return what a process is, for a table."""
    if pid == supervisor:
        return "supervisor"
    return "oldest worker" if pid in children(supervisor)[:1] else f"helper {pid}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print slopes and answers; the status is 1 if a process grows, a promotion fails or a traceback is logged."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="zserve-soak-") as name:
        folder = Path(name)
        publish_twice(folder / "store", options.model)
        log = folder / "server.log"
        with serving(folder / "store", log, options.workers) as (pid, port):
            result = asyncio.run(soak(options, pid, port))
        traceback = "Traceback" in log.read_text()
    load = load_table(result.outcome, result.faults, result.rate, result.capacity)
    markdown = f"{load}\n\n{slopes_table(result.series)}\n"
    print(markdown)
    judged = options.minutes >= JUDGED_MINUTES
    if not judged:
        print(f"slopes are judged from {JUDGED_MINUTES:g} minutes on: before, caches fill")
    faults = (leaks(result.series) if judged else []) + (
        ["the server logged a traceback"] if traceback else []
    )
    faults += [f"a promotion failed: {reason}" for reason in result.faults.refused]
    print("\n".join(faults) or ("nothing grows" if judged else "no traceback"))
    if options.record:
        values = {"minutes": options.minutes, "workers": options.workers, "faults": faults}
        print(record("Soak", read_machine(), markdown, values))
    return 1 if faults else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="length (default: 30)")
    parser.add_argument("--share", type=float, default=0.7, help="part of the capacity (0.7)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument("--model", default="mnist", help="shipped model (default: mnist)")
    parser.add_argument("--promote-every", type=float, default=10.0, help="seconds (default: 10)")
    parser.add_argument("--kill-every", type=float, default=60.0, help="seconds (default: 60)")
    add_record_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
