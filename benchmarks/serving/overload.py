"""Offer servers up to five times what they can answer: `make bench-overload`.

    python -m benchmarks.serving.overload [--quick] [--n 16] [--model mnist] [--seconds 12]
                                          [--peers litserve] [--out FOLDER]

Measures the capacity of zserve, with its default limits, and of its peers by a closed loop. Then
requests arrive as a Poisson process at 0.8, 1, 2 and 5 times the capacity, whether or not earlier ones
were answered (`open_loop`). At 5 times, a second client asks zserve for a tenth of its capacity from
another address. Writes overload.md and overload.json. Nothing else should run on the machine.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common.machine import read_machine
from benchmarks.serving.environments import ROOT, InstallError, install
from benchmarks.serving.exported_models import DEFAULT, LAB, export_models
from benchmarks.serving.load_points import LoadPoint
from benchmarks.serving.measuring import Bench
from benchmarks.serving.peer_servers import PEER_SERVERS
from benchmarks.serving.plan import Cores
from benchmarks.serving.processes import ServerError, ServerProcess
from benchmarks.serving.servers import OVERLOADED, Server
from benchmarks.serving.wrk import ensure_wrk

FACTORS = (0.8, 1.0, 2.0, 5.0)
POLITE_ADDRESS = "127.0.0.2"
POLITE_SHARE = 0.1
"""Rate of the second client, as a share of the capacity."""
OUT = ROOT / "runs" / "bench-overload"
_CONNECTIONS = 32


@dataclass
class Row:
    """The result of one load on one server."""

    server: str
    load: str
    capacity_per_s: float
    report: dict[str, Any]

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        report = self.report
        admitted, refused = report["admitted"], report["refused"]
        share = report["goodput_per_s"] / self.capacity_per_s
        return [
            self.server,
            self.load,
            f"{report['offered_per_s']:,.0f}",
            f"{report['goodput_per_s']:,.1f}",
            f"{share:.2f}",
            f"{admitted['p50_ms']:,.1f}",
            f"{admitted['p99_ms']:,.1f}",
            f"{refused['answers']:,}",
            f"{refused['p99_ms']:,.1f}" if refused["answers"] else "",
            f"{report['health']['p99_ms']:,.1f}" if report["health"]["answers"] else "none",
            f"{report['errors']:,}",
            f"{report['late_ms']:,.1f}",
        ]


HEADINGS = (
    "server",
    "load",
    "offered/s",
    "goodput/s",
    "of capacity",
    "p50 ms",
    "p99 ms",
    "refused",
    "refused p99 ms",
    "/healthz p99 ms",
    "unanswered",
    "generator p99 ms",
)


class Overload:
    """Runs all loads on one server after the other."""

    def __init__(self, bench: Bench, options: argparse.Namespace) -> None:
        self._bench = bench
        self._options = options
        self.rows: list[Row] = []
        self.failures: list[str] = []

    def run(self, server: Server) -> None:
        """Measure a server; a load that fails ends the measurement of that server."""
        options = self._options
        try:
            with self._bench.started(server, options.model, server.grid[0]) as process:
                capacity = self._capacity(server, process)
                print(f"{server.name}: {capacity:,.1f} requests/s with {_CONNECTIONS} connections")
                for factor in FACTORS:
                    self._record(server, process, f"{factor:g} x", capacity, factor)
                    process.settle()
                if server.checkout is not None:
                    self._record_two_clients(server, process, capacity)
        except (ServerError, OSError, subprocess.SubprocessError) as error:
            self.failures.append(f"{server.name}: {str(error)[-300:]}")
            print(f"FAILED: {self.failures[-1]}", flush=True)

    def _capacity(self, server: Server, process: ServerProcess) -> float:
        """Return the best of three closed loops, after a warm-up."""
        point = LoadPoint(self._options.n, _CONNECTIONS)
        seconds = max(1.0, self._options.seconds / 4)
        loads = [self._bench.load(server, process, point, seconds) for _ in range(4)]
        return max(load.requests_per_s for load in loads[1:])

    def _record(
        self, server: Server, process: ServerProcess, load: str, capacity: float, factor: float
    ) -> None:
        with self._generator(server, process, factor * capacity) as generator:
            self._add(server, load, capacity, generator)

    def _record_two_clients(self, server: Server, process: ServerProcess, capacity: float) -> None:
        """Run the largest load, and a small one from another address."""
        polite = self._generator(server, process, POLITE_SHARE * capacity, POLITE_ADDRESS)
        with self._generator(server, process, FACTORS[-1] * capacity) as greedy, polite:
            self._add(server, f"{FACTORS[-1]:g} x, with a second client", capacity, greedy)
            self._add(server, f"second client, {POLITE_SHARE:g} x", capacity, polite)

    def _add(
        self, server: Server, load: str, capacity: float, generator: "subprocess.Popen[str]"
    ) -> None:
        output, _ = generator.communicate(timeout=self._options.seconds + 60)
        if generator.returncode != 0:
            raise subprocess.CalledProcessError(generator.returncode, "open_loop")
        self.rows.append(Row(server.name, load, capacity, json.loads(output)))
        print(" | ".join(self.rows[-1].cells()), flush=True)

    def _generator(
        self, server: Server, process: ServerProcess, rate: float, source: str = "127.0.0.1"
    ) -> "subprocess.Popen[str]":
        n, seconds = self._options.n, self._options.seconds
        body = server.body(n)
        command = [sys.executable, "-m", "benchmarks.serving.open_loop"]
        command += ["--port", str(process.port), "--path", f"/generate?n={n}"]
        command += ["--rate", str(rate), "--seconds", str(seconds), "--skip", str(seconds / 3)]
        command += ["--source", source, "--body", body.decode() if body else ""]
        cores = self._bench.cores.load
        return subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - no threads here
        )


def verdict(rows: Sequence[Row]) -> list[str]:
    """Return zserve's figures beside the targets."""
    own = {row.load: row.report for row in rows if row.server == OVERLOADED.name}
    loads = ("0.8 x", "1 x", "2 x", "5 x")
    if any(load not in own for load in loads):
        return ["zserve was not measured completely"]
    peak = max(own[load]["goodput_per_s"] for load in loads)
    five = own["5 x"]
    goodput = five["goodput_per_s"] / peak
    p99 = five["admitted"]["p99_ms"] / max(1e-9, own["0.8 x"]["admitted"]["p99_ms"])
    return [
        f"- goodput at 5 x: {goodput:.2f} of its peak over these loads (target 0.95)",
        f"- p99 of the admitted at 5 x: {p99:.2f} of that at 0.8 x (target 2)",
        f"- p99 of refusals at 5 x: {five['refused']['p99_ms']:.1f} ms (target 20)",
        f"- p99 of /healthz at 5 x: {five['health']['p99_ms']:.1f} ms (target 50)",
    ]


def main() -> int:
    """Measure and report; return 1 if zserve could not be measured."""
    options = _options()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    ensure_wrk()
    install("zserve")
    servers = [OVERLOADED, *_peers(options.peers)]
    cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
    machine = read_machine()
    with tempfile.TemporaryDirectory(prefix="bench-overload-") as scratch:
        models = export_models(Path(scratch), (options.n,))
        overload = Overload(Bench(models, Path(scratch), cores), options)
        os.sched_setaffinity(0, cores.load)
        for server in servers:
            overload.run(server)
    lines = [f"- {label}: {text}" for label, text in machine.lines().items()]
    lines += [f"- {options.model}, n={options.n}, {options.seconds:g} s each, {cores.described()}"]
    lines += [f"- left out: {failure}" for failure in overload.failures]
    table = [HEADINGS, ("---",) * len(HEADINGS), *(row.cells() for row in overload.rows)]
    lines += ["", *(f"| {' | '.join(cells)} |" for cells in table), "", *verdict(overload.rows)]
    text = "\n".join(lines) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "overload.md").write_text(text)
    results = [{**vars(row)} for row in overload.rows]
    (options.out / "overload.json").write_text(json.dumps(results, indent=1) + "\n")
    print(text)
    return 0 if any(row.server == OVERLOADED.name for row in overload.rows) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench-overload", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="4 s for each load, FastAPI alone")
    parser.add_argument("--n", type=int, default=16, help="images per request")
    parser.add_argument("--model", default=DEFAULT, choices=(DEFAULT, LAB))
    parser.add_argument("--seconds", type=float, help="seconds for each load (default: 12)")
    parser.add_argument("--peers", help="environments of peers (default: textbook,litserve)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    options = parser.parse_args()
    options.seconds = options.seconds or (4.0 if options.quick else 12.0)
    if options.peers is None:
        options.peers = "textbook" if options.quick else "textbook,litserve"
    return options


def _peers(names: str) -> list[Server]:
    """Return the peers that can be installed and run the model."""
    servers = []
    for server in PEER_SERVERS:
        if server.environment in names.split(",") and server.decodes:
            try:
                install(server.environment)
            except InstallError as error:
                print(f"LEFT OUT: {server.name}: {error}")
            else:
                servers.append(server)
    return servers


if __name__ == "__main__":
    sys.exit(main())
