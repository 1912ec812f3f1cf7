"""Compare zserve with other model servers in one interleaved run: `make bench-serving`.

    python -m benchmarks.serving [--quick] [--peers litserve,mosec] [--baseline DIR] [--record]
                                 [--n 16] [--connections 32] [--rounds 5] [--duration 1]
                                 [--models lab,mnist] [--out FOLDER]

Builds an environment for each server under .venv-bench, starts the servers on loopback, loads them
in turn, round by round, checks their answers, and writes serving.md, serving.json and serving.png.
Nothing else should run on the machine at that time. All servers together need 8 GB of memory.
Ctrl-C stops everything that was started.
"""

import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.common.machine import Machine, read_machine
from benchmarks.common.recording import record
from benchmarks.serving import report
from benchmarks.serving.environments import InstallError, install
from benchmarks.serving.exported_models import DEFAULT, LAB, export_models
from benchmarks.serving.measuring import Bench
from benchmarks.serving.options import Options, conditions, parse_options, plan_of
from benchmarks.serving.plan import Plan
from benchmarks.serving.results import ZSERVE, Results
from benchmarks.serving.runner import Runner, log
from benchmarks.serving.servers import OWN_SERVERS, Server
from benchmarks.serving.wrk import ensure_wrk

BUSY_LOAD_AVERAGE = 0.5
"""Load average above which the report warns of noisy values."""


def main() -> int:
    """Build, measure and report; return 1 if zserve itself could not be measured."""
    options = parse_options(__doc__ or "")
    for number in (signal.SIGINT, signal.SIGTERM):  # shells make background jobs ignore SIGINT
        signal.signal(number, signal.default_int_handler)
    ensure_wrk()
    results = Results()
    plan = plan_of(options, _install(options, results))
    machine = read_machine()
    results.conditions |= conditions(plan, machine)
    if machine.load_average > BUSY_LOAD_AVERAGE:
        results.notes.append("**other programs used the machine: the values are noisy**")
        log("WARNING: the machine is busy, the values will be noisy")
    _measure(plan, options, results)
    if not results.measurements:
        log("nothing was measured")
        return 1
    print(report.write(results, options.out))
    log(f"written to {options.out}: serving.md, serving.json, serving.png")
    if options.record:
        _record(results, machine)
    return 0 if ZSERVE in results.servers else 1


def _install(options: Options, results: Results) -> tuple[Server, ...]:
    """Build the environments; return zserve's variants and the peers that could be installed."""
    try:
        install("zserve")
    except InstallError as error:
        sys.exit(f"zserve's own environment could not be built: {error}")
    servers = [*OWN_SERVERS[:1], *options.baseline, *OWN_SERVERS[1:]]
    for server in options.peers:
        try:
            install(server.environment)
        except (InstallError, OSError) as error:
            results.left_out[server.name] = str(error)
            log(f"LEFT OUT: {server.name}: {error}")
        else:
            servers.append(server)
    return tuple(servers)


def _measure(plan: Plan, options: Options, results: Results) -> None:
    points = len(plan.points) + len(plan.last_round_points)
    log(
        f"{len(plan.servers)} servers, {points} load points, {plan.rounds} rounds: about "
        f"{plan.estimate_s() / 60:.0f} minutes on an idle machine"
    )
    with tempfile.TemporaryDirectory(prefix="zsb-", dir="/tmp") as folder:
        log("exporting the weights")
        scratch = Path(folder)
        models = export_models(scratch, tuple({1, 16} | plan.sizes))
        results.models |= {LAB: models.lab, DEFAULT: models.default}
        runner = Runner(plan, Bench(models, scratch, options.cores), results)
        try:
            runner.run(lambda: report.write(results, options.out))
        except KeyboardInterrupt:
            log("interrupted: all servers are stopped, the values measured so far are kept")
            results.notes.append("interrupted before its end")


def _record(results: Results, machine: Machine) -> None:
    conditions = {k: v for k, v in results.conditions.items() if k not in machine.lines()}
    facts = "\n".join(f"- {label}: {text}" for label, text in conditions.items())
    page = record("serving", machine, f"{facts}\n{report.body(results)}", results.as_json())
    log(f"recorded in {page}")


if __name__ == "__main__":
    sys.exit(main())
