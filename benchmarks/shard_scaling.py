"""Measure how the rate of `zserve generate` into shards grows with processes and workers.

    .venv/bin/python -m benchmarks.shard_scaling [--images 40000] [--counts 1,2,4] [--record]

For each count, starts the service with that number of workers, and makes a data set in a temporary
folder with that number of processes. Client and service share the machine: the figures say how far
the two scale together on its cores, and count only if nothing else runs. The load average of the
machine before each run is part of the result.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table

CHECKOUT = Path(__file__).resolve().parent.parent
SHARD_IMAGES = 2500
START_S = 300.0
"""Longest time until the service has started, in seconds."""


@dataclass(frozen=True)
class Run:
    """One measurement.

    Attributes:
        count: Number of workers of the service, and of processes of the command.
        seconds: Time of the command, with its start.
        load_average: Load average of the machine over the minute before.
    """

    count: int
    images: int
    seconds: float
    load_average: float

    @property
    def rate(self) -> float:
        """Return images in a second."""
        return self.images / self.seconds


def main() -> None:
    """Measure, print a table and record it."""
    options = _parse()
    machine = read_machine()
    runs = [_measure(int(count), options) for count in options.counts.split(",")]
    print(_as_table(runs))
    if options.record:
        values = {"model": options.model, "runs": [asdict(run) for run in runs]}
        print(f"recorded in {record('shard_scaling', machine, _as_table(runs), values)}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--counts", default="1,2,4", help="such as 1,2,4 (the default)")
    parser.add_argument("--model", default="mnist")
    add_record_option(parser)
    return parser.parse_args()


def _measure(count: int, options: argparse.Namespace) -> Run:
    with tempfile.TemporaryDirectory() as folder, _serving(count, Path(folder) / "log") as url:
        command = [sys.executable, "-m", "zserve_client", "generate", "--url", url, "--seed", "0"]
        command += ["--layout", "webdataset", "--out", f"{folder}/set", "--model", options.model]
        command += ["--n", str(options.images), "--shard-images", str(SHARD_IMAGES)]
        load_average = os.getloadavg()[0]
        start = time.perf_counter()
        subprocess.run([*command, "--processes", str(count)], check=True)
        seconds = time.perf_counter() - start
    return Run(count, options.images, seconds, load_average)


@contextmanager
def _serving(workers: int, log: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "app", "--port", "0", "--workers", str(workers)]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)
        try:
            yield _address(process, log)
        finally:
            process.terminate()
            process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        match = re.search(r"serving on (http://\S+)", log.read_text())
        if match:
            return match[1]
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text()}")


def _as_table(runs: list[Run]) -> str:
    head = ["workers and processes", "images/s", "to one", "load average before"]
    rows = [
        [
            str(run.count),
            f"{run.rate:,.0f}",
            f"{run.rate / runs[0].rate:.2f}",
            f"{run.load_average:.1f}",
        ]
        for run in runs
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
