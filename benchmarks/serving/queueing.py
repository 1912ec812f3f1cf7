"""Compare the measured latency of a service with a queueing model: `make bench-queueing`.

    python -m benchmarks.serving.queueing [--model mnist] [--n 16] [--workers 1 2] [--seconds 10]

First measures the time of k requests that are sent at once, which gives the model its only two
numbers. Then requests arrive as a Poisson process at shares of the capacity, and their latencies are
set beside those of `queue_model`. The service runs on the first core, or on the first two with two
workers; the load generator on the last one.
"""

import argparse
import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.serving.plan import Cores
from benchmarks.serving.processes import ServerProcess, free_port, started
from benchmarks.serving.queue_model import BatchTime, fit, latencies

ROOT = Path(__file__).parents[2]
SHARES = (0.3, 0.5, 0.7, 0.8, 0.9)
"""Offered load, as a share of the capacity."""
BATCH_IMAGES = 64
"""Largest number of images that a worker computes at once on a CPU."""
REPEATS = 30
"""Bursts of one size; their median counts."""
_SERVICE_PRIORITY, _GENERATOR_PRIORITY = 10, 20
HEADINGS = [
    "workers",
    "load",
    "requests/s",
    "p50 ms",
    "predicted",
    "p99 ms",
    "predicted",
    "measured / predicted p99",
    "refused",
    "generator p99 ms",
]


@dataclass(frozen=True)
class Point:
    """One measured load, and what the model predicts for it; times in ms."""

    workers: int
    share: float
    rate: float
    p50_ms: float
    predicted_p50_ms: float
    p99_ms: float
    predicted_p99_ms: float
    refused: int
    late_ms: float
    """p99 of the delay of the load generator itself."""

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        return [
            str(self.workers),
            f"{self.share:.1f}",
            f"{self.rate:,.0f}",
            f"{self.p50_ms:.2f}",
            f"{self.predicted_p50_ms:.2f}",
            f"{self.p99_ms:.2f}",
            f"{self.predicted_p99_ms:.2f}",
            f"{self.p99_ms / self.predicted_p99_ms:.2f}",
            str(self.refused),
            f"{self.late_ms:.2f}",
        ]


def be_realtime(priority: int) -> None:
    """Let this process, and those that it starts, run before all ordinary ones."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


async def burst_s(port: int, request: bytes, requests: int) -> float:
    """Return the median time (s) in which k requests that are sent at once are answered."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(requests)]
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for _, writer in connections:
            writer.write(request)
        await asyncio.gather(*(_read_answer(reader) for reader, _ in connections))
        times.append(time.perf_counter() - began)
    for _, writer in connections:
        writer.close()
    return statistics.median(times)


async def _read_answer(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    if not lines[0].startswith(b"http/1.1 200"):
        raise RuntimeError(f"a request of a burst was answered with {lines[0].decode()}")
    length = next(line for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.split(b":")[1]))


def calibrate(process: ServerProcess, model: str, n: int) -> BatchTime:
    """Measure bursts on one worker, and fit the time of a batch to them."""
    path = f"/generate?n={n}&model={model}"
    request = f"GET {path} HTTP/1.1\r\nHost: zserve\r\n\r\n".encode()
    most = max(1, min(64, BATCH_IMAGES // n))
    sizes = sorted({1, 2, 4, 8, 16, min(32, 4 * most)})
    return fit({size: asyncio.run(burst_s(process.port, request, size)) for size in sizes}, most)


def measure(
    process: ServerProcess,
    batch_time: BatchTime,
    share: float,
    options: argparse.Namespace,
    workers: int,
) -> Point:
    """Offer a share of the capacity, and compare."""
    rate = share * workers * batch_time.capacity_per_s
    command = [sys.executable, "-m", "benchmarks.serving.open_loop", "--any-connection"]
    command += ["--port", str(process.port), "--method", "GET"]
    command += ["--path", f"/generate?n={options.n}&model={options.model}"]
    command += ["--rate", str(rate), "--seconds", str(options.seconds), "--skip", "1"]
    output = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        preexec_fn=(lambda: be_realtime(_GENERATOR_PRIORITY)) if options.realtime else None,
    ).stdout
    report = json.loads(output)
    predicted = latencies(rate, batch_time, workers=workers)
    p50, p99 = (float(each) * 1e3 for each in np.percentile(predicted, [50, 99]))
    admitted = report["admitted"]
    return Point(
        workers,
        share,
        rate,
        admitted["p50_ms"],
        p50,
        admitted["p99_ms"],
        p99,
        report["refused"]["answers"],
        report["late_ms"],
    )


def run(
    workers: int, batch_time: BatchTime | None, options: argparse.Namespace
) -> tuple[BatchTime, list[Point]]:
    """Start a service, calibrate the model with it if it has one worker, and measure all loads."""
    cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
    port = free_port()
    variables = {
        "ZSERVE_WORKERS": str(workers),
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_LOG_LEVEL": "warning",
    }
    with (
        tempfile.TemporaryDirectory(prefix="bench-queueing-") as scratch,
        started(
            [sys.executable, "-m", "app", "--port", str(port)],
            port=port,
            cores=cores.server(workers),
            variables=variables | {"PATH": os.environ["PATH"]},
            folder=ROOT,
            log=Path(scratch) / "log",
            first=("GET", f"/generate?n=1&model={options.model}", None),
        ) as process,
    ):
        for _ in range(20 * workers):  # each worker loads the model when it is first asked
            process.request("GET", f"/generate?n={options.n}&model={options.model}")
        if batch_time is None:
            batch_time = calibrate(process, options.model, options.n)
            print(
                f"batch of k requests: {1e3 * batch_time.fixed_s:.3f} ms + {1e3 * batch_time.each_s:.3f} ms k"
            )
        points = []
        for share in options.shares:
            points.append(measure(process, batch_time, share, options, workers))
            print(" | ".join(points[-1].cells()), flush=True)
        return batch_time, points


def main() -> int:
    """Measure and report."""
    options = _options()
    machine = read_machine()
    if options.realtime:
        be_realtime(_SERVICE_PRIORITY)
    batch_time: BatchTime | None = None
    points: list[Point] = []
    for workers in options.workers:
        batch_time, measured = run(workers, batch_time, options)
        points += measured
    if batch_time is None:
        return 1
    description = (
        f"{options.model}, n={options.n}, {options.seconds:g} s for each load. Fitted time of a batch of "
        f"k requests, k at most {batch_time.most}: {1e3 * batch_time.fixed_s:.3f} ms + "
        f"{1e3 * batch_time.each_s:.3f} ms k, so a worker answers at most "
        f"{batch_time.capacity_per_s:,.0f} requests/s."
    )
    lines = [description, "", table(HEADINGS, [point.cells() for point in points])]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.record:
        values = {"points": [asdict(point) for point in points], "batch_time": asdict(batch_time)}
        print(record("queueing", machine, text, values))
    return 0 if all(math.isfinite(point.p99_ms) for point in points) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-queueing", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", default="mnist", help="model of the store")
    parser.add_argument("--n", type=int, default=16, help="images per request")
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[1, 2], help="the first must be 1"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds for each load")
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument(
        "--realtime",
        action="store_true",
        help="run before all other processes, for a machine that is not quiet (needs root)",
    )
    add_record_option(parser)
    options = parser.parse_args()
    if options.workers[0] != 1:
        parser.error("--workers: the model is fitted to one worker, so the first number must be 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
