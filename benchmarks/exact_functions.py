"""Measure the functions of exact versions on one core: CPU time, time to load, and memory.

    python -m benchmarks.exact_functions [--models mnist,letters] [--seconds 20] [--record]

Functions and numbers of rows take turns, so other work on the machine affects all of them. Each is
called anew after the others, as in a service, and not with warm caches. Times are the CPU time of
this process, which has one thread. Loading makes the executors and computes nothing.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from app.inference.exact_executor import fastest
from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from model_store.arithmetic.model import ExactModel
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store

MODELS = "mnist,mnist-flow,fashion-flow,letters,faces"
ROWS = (1, 16, 64)
FEWEST_ROUNDS = 5


@dataclass
class Measured:
    """One version; times in seconds of CPU, one for each round."""

    ref: str
    load_s: float
    memory_mib: float
    calls: dict[str, Callable[[], object]]
    times: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    models = [_load(name) for name in options.models.split(",")]
    for measured in models:
        _measure(measured, options.seconds / len(models))
    machine = read_machine()
    text = table(["version", "function", "fastest, us", "median, us"], list(_rows(models)))
    text += "\n\n" + table(
        ["version", "load, ms", "memory, MiB"],
        [[m.ref, f"{m.load_s * 1e3:.0f}", f"{m.memory_mib:.1f}"] for m in models],
    )
    print(f"{machine.summary()}\n{text}")
    if options.record:
        values = {m.ref: {"load_s": m.load_s, "seconds": m.times} for m in models}
        print(f"recorded in {record('exact_functions', machine, text, values)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default=MODELS, help=f"shipped models; default: {MODELS}")
    parser.add_argument("--seconds", type=float, default=20, help="CPU time of the whole run")
    add_record_option(parser)
    return parser


def _load(name: str) -> Measured:
    store = Store(SHIPPED)
    stored = store.load(store.resolve(ModelRef.parse(name)))
    if stored.network is None:
        raise SystemExit(f"{stored.manifest.ref} is a float version; choose an exact one")
    before, start = _resident_mib(), time.process_time()
    model = ExactModel(stored.network, stored.spec, fastest)
    load_s = time.process_time() - start
    calls = dict(_calls(model))
    for call in calls.values():
        call()
    return Measured(str(stored.manifest.ref), load_s, _resident_mib() - before, calls)


def _calls(model: ExactModel) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the name of a call, and the call."""
    generator = np.random.default_rng(0)
    for rows in ROWS:
        u = generator.standard_normal((rows, model.spec.latent), np.float32)
        yield f"decode {rows}", partial(model.decode, u)
    for rows in ROWS[:2]:
        x = generator.integers(0, 256, (rows, *model.spec.image.shape), np.uint8)
        yield f"encode {rows}", partial(model.encode, x)


def _measure(measured: Measured, seconds: float) -> None:
    """Call every function in turn until the time is used up."""
    end = time.process_time() + seconds
    rounds = 0
    while rounds < FEWEST_ROUNDS or time.process_time() < end:
        for name, call in measured.calls.items():
            start = time.process_time()
            call()
            measured.times.setdefault(name, []).append(time.process_time() - start)
        rounds += 1


def _rows(models: list[Measured]) -> Iterator[list[str]]:
    for measured in models:
        for name, times in measured.times.items():
            yield [
                measured.ref,
                name,
                f"{min(times) * 1e6:,.0f}",
                f"{statistics.median(times) * 1e6:,.0f}",
            ]


def _resident_mib() -> float:
    """Return the resident memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
