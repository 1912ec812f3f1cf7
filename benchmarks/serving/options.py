"""Parse the command line of `python -m benchmarks.serving`, and turn it into a plan."""

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.machine import Machine
from benchmarks.common.recording import add_record_option
from benchmarks.serving.environments import ENVIRONMENTS, ROOT, versions
from benchmarks.serving.exported_models import DEFAULT, LAB
from benchmarks.serving.load_points import LoadPoint
from benchmarks.serving.peer_servers import PEER_SERVERS
from benchmarks.serving.plan import Cores, Plan, is_on_cross
from benchmarks.serving.results import ZSERVE
from benchmarks.serving.servers import (
    BASELINE,
    CheckoutError,
    Server,
    baseline_server,
)

QUICK_PEERS = "textbook,litserve,mosec"
OUT = ROOT / "runs" / "bench-serving"
PACKAGES = ("torch", "fastapi", "uvicorn", "pillow", "litserve", "bentoml", "mosec", "ray")


@dataclass(frozen=True)
class Options:
    """The command line."""

    peers: tuple[Server, ...]
    baseline: tuple[Server, ...]
    """The server of --baseline, or none."""
    sizes: tuple[int, ...]
    connections: tuple[int, ...]
    all_points: bool
    rounds: int
    duration_s: int
    tuned_settings: int | None
    models: tuple[str, ...]
    out: Path
    record: bool

    @property
    def cores(self) -> Cores:
        """The cores that this process may use."""
        return Cores(tuple(sorted(os.sched_getaffinity(0))))


def parse_options(description: str) -> Options:
    """Read the command line; exit with a message if it is wrong."""
    arguments = _parser(description).parse_args()
    quick = arguments.quick
    peers = arguments.peers or (QUICK_PEERS if quick else ",".join(ENVIRONMENTS[1:]))
    return Options(
        peers=_peers(peers),
        baseline=_baseline(arguments.baseline),
        sizes=arguments.n or ((16,) if quick else (1, 16, 256)),
        connections=arguments.connections or ((1, 32) if quick else (1, 32, 256)),
        all_points=arguments.all_cells,
        rounds=arguments.rounds or (2 if quick else 5),
        duration_s=arguments.duration,
        tuned_settings=1 if quick else None,
        models=tuple(name for name in (LAB, DEFAULT) if name in arguments.models.split(",")),
        out=arguments.out,
        record=arguments.record,
    )


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench-serving", description=description.partition("\n")[0]
    )
    names = ",".join(ENVIRONMENTS[1:])
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"take a few minutes only: n=16, two rounds, {QUICK_PEERS} without tuning",
    )
    parser.add_argument("--peers", help=f"environments of the peers, from {names}")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help="also measure another checkout of zserve, in its own .venv, as `baseline`",
    )
    parser.add_argument("--n", type=_numbers, help="images per request, such as 1,16,256")
    parser.add_argument("--connections", type=_numbers, help="such as 1,32,256")
    parser.add_argument(
        "--all-cells",
        action="store_true",
        help="measure every --n with every --connections in each round",
    )
    parser.add_argument("--rounds", type=int, help="default: 5, or 2 with --quick")
    parser.add_argument(
        "--duration", type=int, default=1, help="seconds per load; twice that for n above 16"
    )
    parser.add_argument("--models", default=f"{LAB},{DEFAULT}", help=f"from {LAB},{DEFAULT}")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the report")
    add_record_option(parser)
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _peers(names: str) -> tuple[Server, ...]:
    chosen = {name.strip() for name in names.split(",") if name.strip()}
    unknown = chosen - set(ENVIRONMENTS)
    if unknown:
        sys.exit(f"unknown peer {', '.join(sorted(unknown))}; known are {ENVIRONMENTS[1:]}")
    return tuple(server for server in PEER_SERVERS if server.environment in chosen | {"textbook"})


def _baseline(checkout: Path | None) -> tuple[Server, ...]:
    if checkout is None:
        return ()
    try:
        return (baseline_server(checkout),)
    except CheckoutError as error:
        sys.exit(str(error))


def plan_of(options: Options, servers: tuple[Server, ...]) -> Plan:
    """Return the plan for these options and the servers that could be installed."""
    grid = [LoadPoint(n, c) for n in options.sizes for c in options.connections]
    in_each_round = [
        point
        for point in grid
        if options.all_points or is_on_cross(point, options.sizes, options.connections)
    ]
    return Plan(
        servers=servers,
        models=options.models,
        points=tuple(in_each_round),
        last_round_points=tuple(point for point in grid if point not in in_each_round),
        rounds=options.rounds,
        duration_s=options.duration_s,
        tuned_settings=options.tuned_settings,
    )


def conditions(plan: Plan, machine: Machine) -> dict[str, str]:
    """Return the conditions of the run for the report: label -> text."""
    cores = Cores(tuple(sorted(os.sched_getaffinity(0))))
    lines = machine.lines() | {
        "cores": cores.described(),
        "versions in the environments": _versions(plan.servers),
        "load": f"wrk, {plan.rounds} interleaved rounds of {plan.duration_s} s per load (twice "
        "that above n=16); status and PNG signature of every answer checked, some answers in full",
        "torch": "CPU, one thread in every server",
    }
    for server in plan.servers:
        if server.name in {ZSERVE, BASELINE} and server.checkout:
            lines[f"commit of {server.name}"] = _commit(server.checkout)
    return lines


def _versions(servers: tuple[Server, ...]) -> str:
    """List package versions; those that differ between environments name the environment."""
    texts: dict[str, str] = {}
    interpreters = {server.environment: server.interpreter for server in servers}
    for environment, interpreter in interpreters.items():
        for package, version in versions(interpreter, *PACKAGES).items():
            if version not in texts.setdefault(package, version):
                texts[package] += f" ({environment}: {version})"
    return ", ".join(f"{package} {version}" for package, version in texts.items())


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip() or "not in a git repository"
