"""zserve beside the servers that people would pick, in one run: `make bench-serving`.

    python -m benchmarks.serving [--quick] [--peers litserve,mosec] [--n 16] [--connections 32]
                                 [--rounds 5] [--duration 1] [--models lab,mnist] [--out FOLDER]

Builds an environment for each server under .venv-bench, starts the servers on loopback, loads them
in turn, round by round, checks their answers, and writes serving.md, serving.json and serving.png.
Nothing else should run on the machine meanwhile. Memory for all servers at once: 8 GB. Ctrl-C stops
everything that was started.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.serving import report
from benchmarks.serving.environments import (
    ENVIRONMENTS,
    ROOT,
    InstallError,
    install,
    versions,
)
from benchmarks.serving.load import ensure_wrk
from benchmarks.serving.models import DEFAULT, LAB, prepare
from benchmarks.serving.results import Cell, Results
from benchmarks.serving.run import Cores, Plan, Runner, say
from benchmarks.serving.servers import OWN_SERVERS, PEER_SERVERS, ZSERVE, Server

QUICK_PEERS = "textbook,litserve,mosec"
OUT = ROOT / "runs" / "bench-serving"
PACKAGES = ("torch", "fastapi", "uvicorn", "pillow", "litserve", "bentoml", "mosec", "ray")


def main() -> int:
    """Build, measure, report; 1 where zserve itself could not be measured."""
    options = _parser().parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a job in the background ignores SIGINT
        signal.signal(number, signal.default_int_handler)
    ensure_wrk()
    results = Results()
    peers = options.peers or (QUICK_PEERS if options.quick else ",".join(ENVIRONMENTS[1:]))
    servers = _installed(_wanted(peers), results)
    plan = _plan(options, servers)
    _facts(plan, results)
    say(
        f"{len(servers)} servers, {len(plan.cells) + len(plan.corners)} loads, {plan.rounds} rounds: about "
        f"{plan.estimate_s() / 60:.0f} minutes on an idle machine"
    )
    with tempfile.TemporaryDirectory(prefix="zsb-", dir="/tmp") as scratch:
        say("exporting the weights")
        models = prepare(
            Path(scratch), tuple({1, 16} | {cell.n for cell in plan.cells + plan.corners})
        )
        results.facts |= {LAB: models.lab, DEFAULT: models.default}
        runner = Runner(plan, models, Path(scratch), results)
        try:
            runner.run(lambda: report.write(results, options.out))
        except KeyboardInterrupt:
            say("interrupted: everything that was started is stopped, what was measured is kept")
            results.notes.append("interrupted before its end")
    if not results.samples:
        say("nothing was measured")
        return 1
    print(report.write(results, options.out))
    say(f"written to {options.out}: serving.md, serving.json, serving.png")
    return 0 if ZSERVE in results.servers else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench-serving", description=(__doc__ or "").splitlines()[0]
    )
    names = ",".join(ENVIRONMENTS[1:])
    parser.add_argument(
        "--quick", action="store_true", help=f"minutes: n=16, two rounds, {QUICK_PEERS} untuned"
    )
    parser.add_argument("--peers", help=f"environments to compare with ({names})")
    parser.add_argument("--n", type=_numbers, help="images a request, such as 1,16,256")
    parser.add_argument("--connections", type=_numbers, help="such as 1,32,256")
    parser.add_argument(
        "--all-cells", action="store_true", help="every n at every connections, in each round"
    )
    parser.add_argument("--rounds", type=int, help="5 unless --quick")
    parser.add_argument("--duration", type=int, default=1, help="seconds of a load; n=256 twice")
    parser.add_argument("--models", default=f"{LAB},{DEFAULT}", help=f"{LAB},{DEFAULT}")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _wanted(peers: str) -> list[Server]:
    chosen = {name.strip() for name in peers.split(",") if name.strip()}
    unknown = chosen - set(ENVIRONMENTS)
    if unknown:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are {ENVIRONMENTS[1:]}")
    return [server for server in PEER_SERVERS if server.environment in chosen | {"textbook"}]


def _installed(peers: list[Server], results: Results) -> tuple[Server, ...]:
    """zserve in its forms and the peers whose environment could be built; others by name."""
    try:
        install("zserve")
    except InstallError as error:
        sys.exit(f"zserve's own environment could not be built: {error}")
    servers = list(OWN_SERVERS)
    failed: dict[str, str] = {}
    for environment in dict.fromkeys(server.environment for server in peers):
        try:
            install(environment)
        except (InstallError, OSError) as error:
            failed[environment] = str(error)
            say(f"LEFT OUT: {environment}: {error}")
    for server in peers:
        if server.environment in failed:
            results.left_out[server.name] = failed[server.environment]
        else:
            servers.append(server)
    return tuple(servers)


def _plan(options: argparse.Namespace, servers: tuple[Server, ...]) -> Plan:
    counts = options.n or ((16,) if options.quick else (1, 16, 256))
    connections = options.connections or ((1, 32) if options.quick else (1, 32, 256))
    every = [Cell(n, c) for n in counts for c in connections]
    cross = [
        cell
        for cell in every
        if options.all_cells or _in_cross(cell.n, cell.connections, counts, connections)
    ]
    return Plan(
        servers=servers,
        models=tuple(name for name in (LAB, DEFAULT) if name in options.models.split(",")),
        cells=tuple(cross),
        corners=tuple(cell for cell in every if cell not in cross),
        rounds=options.rounds or (2 if options.quick else 5),
        duration_s=options.duration,
        tuned_settings=1 if options.quick else None,
    )


def _in_cross(n: int, c: int, counts: tuple[int, ...], connections: tuple[int, ...]) -> bool:
    """Every n at 32 connections, and every number of connections at n = 16."""
    return n == 16 or c == 32 or 16 not in counts or 32 not in connections


def _facts(plan: Plan, results: Results) -> None:
    found: dict[str, str] = {}
    for environment in dict.fromkeys(server.environment for server in plan.servers):
        for package, version in versions(environment, *PACKAGES).items():
            if version not in found.setdefault(package, version):
                found[package] += f" ({environment}: {version})"
    cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
    results.facts |= {
        "machine": f"{_processor()}, {len(cores.available)} cores, Python {platform.python_version()}",
        "cores": cores.described(),
        "versions": ", ".join(f"{name} {version}" for name, version in found.items()),
        "load": f"wrk, {plan.rounds} interleaved rounds of {plan.duration_s} s a load (twice that "
        "above n=16), every status and PNG frame checked, some answers tile by tile",
        "torch": "CPU, one thread in every server",
        "load average before the start": f"{os.getloadavg()[0]:.2f}",
        "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    if os.getloadavg()[0] > 0.5:
        results.notes.append("**the machine was busy with something else: noisy figures**")
        say("WARNING: the machine is busy: the figures will be noisy")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    sys.exit(main())
