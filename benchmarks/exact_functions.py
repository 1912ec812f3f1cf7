"""Measure the functions of exact versions on one core: CPU time, time to load, and memory.

    python -m benchmarks.exact_functions [--models mnist,letters] [--seconds 20] [--float]
                                         [--record]

Functions and numbers of rows take turns, so other work on the machine affects all of them. Each is
called anew after the others, as in a service, and not with warm caches. Times are the CPU time of
this process, which has one thread. Loading makes the executors and computes nothing.

`--float` also computes the same networks as float versions are served, by PyTorch in float32 with
weights that oneDNN has packed, and prints the ratio of each round. Their weights are random: the
time does not depend on them.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from app.inference.exact_executor import fastest
from app.inference.executor import Function
from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.common.statistics import ratio
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Bytes, Floats
from model_store.preprocessing import from_bytes
from model_store.spec import ModelRef, ModelSpec
from model_store.store import SHIPPED, Store

MODELS = "mnist,mnist-flow,fashion-flow,letters,faces"
ROWS = (1, 16, 64)
FEWEST_ROUNDS = 5

Call = Callable[[], object]


@dataclass
class Measured:
    """One version; times in seconds of CPU, one for each round."""

    ref: str
    load_s: float
    memory_mib: float
    calls: dict[str, Call]
    float_calls: dict[str, Call]
    """Calls of the same names, computed in float32; empty without `--float`."""
    times: dict[str, list[float]] = field(default_factory=dict)
    float_times: dict[str, list[float]] = field(default_factory=dict)


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    models = [_load(name, with_float=options.float) for name in options.models.split(",")]
    for measured in models:
        _measure(measured, options.seconds / len(models))
    machine = read_machine()
    heads = ["version", "function", "fastest, us", "median, us"]
    heads += ["float32, median, us", "ratio"] if options.float else []
    text = table(heads, list(_rows(models)))
    text += "\n\n" + table(
        ["version", "load, ms", "memory, MiB"],
        [[m.ref, f"{m.load_s * 1e3:.0f}", f"{m.memory_mib:.1f}"] for m in models],
    )
    print(f"{machine.summary()}\n{text}")
    if options.record:
        values = {
            m.ref: {
                "load_s": m.load_s,
                "seconds": _summary(m.times),
                "float_seconds": _summary(m.float_times),
            }
            for m in models
        }
        print(f"recorded in {record('exact_functions', machine, text, values)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", default=MODELS, help=f"shipped models; default: {MODELS}")
    parser.add_argument("--seconds", type=float, default=20, help="CPU time of the whole run")
    parser.add_argument("--float", action="store_true", help="also compute by PyTorch in float32")
    add_record_option(parser)
    return parser


def _load(name: str, *, with_float: bool) -> Measured:
    store = Store(SHIPPED)
    stored = store.load(store.resolve(ModelRef.parse(name)))
    if stored.network is None:
        raise SystemExit(f"{stored.manifest.ref} is a float version; choose an exact one")
    before, start = _resident_mib(), time.process_time()
    model = ExactModel(stored.network, stored.spec, fastest)
    load_s = time.process_time() - start
    decode_inputs, encode_inputs = _inputs(model.spec)
    calls: dict[str, Call] = {f"decode {len(u)}": partial(model.decode, u) for u in decode_inputs}
    calls |= {f"encode {len(x)}": partial(model.encode, x) for x in encode_inputs}
    for call in calls.values():
        call()
    memory_mib = _resident_mib() - before
    float_calls = _float_calls(model.spec) if with_float else {}
    return Measured(str(stored.manifest.ref), load_s, memory_mib, calls, float_calls)


def _inputs(spec: ModelSpec) -> tuple[list[Floats], list[Bytes]]:
    """Return latents to decode and grey levels to encode, for each number of rows."""
    generator = np.random.default_rng(0)
    latents = [generator.standard_normal((rows, spec.latent), np.float32) for rows in ROWS]
    levels = [generator.integers(0, 256, (rows, *spec.image.shape), np.uint8) for rows in ROWS[:2]]
    return latents, levels


def _float_calls(spec: ModelSpec) -> dict[str, Call]:
    """Return the same calls for a float version of the same networks."""
    # Imported late: exact versions need no PyTorch, and their memory is measured before.
    from app.inference.torch_executor import TorchExecutor  # noqa: PLC0415
    from model_store.vae import VAE  # noqa: PLC0415

    executor = TorchExecutor(VAE(spec).eval(), "cpu")

    def call(function: Function, inputs: Sequence[Floats]) -> Call:
        return partial(executor.run, function, inputs)

    latents, levels = _inputs(spec)
    calls = {f"decode {len(u)}": call("decode", [u]) for u in latents}
    calls |= {f"encode {len(x)}": call("encode", [from_bytes(x)]) for x in levels}
    for each in calls.values():
        each()
    return calls


def _measure(measured: Measured, seconds: float) -> None:
    """Call every function in turn until the time is used up."""
    end = time.process_time() + seconds
    rounds = 0
    while rounds < FEWEST_ROUNDS or time.process_time() < end:
        for name, call in measured.calls.items():
            measured.times.setdefault(name, []).append(_seconds(call))
            if name in measured.float_calls:
                seconds = _seconds(measured.float_calls[name])
                measured.float_times.setdefault(name, []).append(seconds)
        rounds += 1


def _seconds(call: Call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _rows(models: list[Measured]) -> Iterator[list[str]]:
    for measured in models:
        for name, times in measured.times.items():
            row = [measured.ref, name, f"{min(times) * 1e6:,.0f}", _median_us(times)]
            if name in measured.float_times:
                relative = ratio(times, measured.float_times[name])
                row.append(_median_us(measured.float_times[name]))
                row.append(f"{relative.median:.2f} [{relative.low:.2f}, {relative.high:.2f}]")
            yield row


def _summary(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return what a record keeps of thousands of rounds, times in seconds."""
    return {
        name: {"rounds": len(each), "fastest": min(each), "median": statistics.median(each)}
        for name, each in times.items()
    }


def _median_us(times: Sequence[float]) -> str:
    return f"{statistics.median(times) * 1e6:,.0f}"


def _resident_mib() -> float:
    """Return the resident memory of this process in MiB."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
