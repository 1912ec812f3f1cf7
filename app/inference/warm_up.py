"""Measure a model when it is loaded, to choose its batch sizes and the thread it runs in.

The results of an exact model for fixed inputs are compared with its golden hashes. If they agree,
batches may have any size, and the largest size is chosen by time.

The floating-point sums of other models change with the shape of a batch, so such a model has one
reference batch size. Other sizes are used only if they give the same bits for every row of every
function. An exact model whose results differ from its golden hashes is treated like a float model.
"""

import logging
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.executor import Backend, Executor, Function
from app.inference.fixed_results import combined, result_hashes
from app.inference.loaded_model import LoadedModel
from app.inference.pace import Pace
from app.typing import Floats
from model_store.class_latents import NO_CLASSES, ClassLatents
from model_store.directions import NO_DIRECTIONS, Directions
from model_store.spec import Manifest
from model_store.store import StoredModel
from model_store.typicality import Typicality

log = logging.getLogger("zserve")

MAX_LARGE_BATCH_S = 0.002
"""Longest time (s) of a batch that is larger than the reference batch.

Up to this time, the Python code around a batch takes a large part of the time, and computing more
rows at once adds hardly any latency.
"""

RUNS = 5
"""Number of runs of a function of which the fastest is its time."""

MAX_REPEATS_S = 1.0
"""Time (s) of the runs of a function after which it is not run again."""

MAX_ON_LOOP_S = 0.005
"""Longest time (s) of a batch on the event loop; slower functions run in a thread beside it."""


_TIMED_AS: Mapping[Function, Function] = {"posterior": "encode", "log_joint": "log_likelihood"}
"""Function that is not timed -> the function whose time it gets, because both run the same network."""


def warm_up(
    manifest: Manifest,
    executor: Executor,
    device: str,
    class_latents: ClassLatents = NO_CLASSES,
    *,
    typicality: Typicality | None = None,
    golden: Mapping[str, str] | None = None,
    directions: Directions = NO_DIRECTIONS,
    max_large_batch_s: float = MAX_LARGE_BATCH_S,
    max_on_loop_s: float = MAX_ON_LOOP_S,
    max_repeats_s: float = MAX_REPEATS_S,
) -> LoadedModel:
    """Run every function of the model and decide how to batch its rows and where to compute.

    `golden` are the golden hashes of an exact version. `max_large_batch_s` bounds the time of
    batches above the reference size, `max_on_loop_s` that of a batch on the event loop, and
    `max_repeats_s` that of the runs that measure a function.
    """
    hashes = result_hashes(executor, manifest.spec)
    mismatches = _mismatches(hashes, golden or {}) if executor.exact else ()
    exact = executor.exact and not mismatches
    reference = executor.reference_batch
    if exact:
        reference = _fastest_batch(executor, max_large_batch_s, max_repeats_s)
    seconds = _seconds(executor, reference, max_repeats_s)
    seconds |= {each: seconds[like] for each, like in _TIMED_AS.items() if like in seconds}
    model = LoadedModel(
        manifest,
        executor,
        device,
        class_latents,
        directions,
        typicality,
        exact=exact,
        arithmetic=manifest.arithmetic if exact else _float_arithmetic(executor, device, hashes),
        mismatches=mismatches,
        reference_batch=reference,
        off_loop_functions=_off_loop_functions(executor, seconds, max_on_loop_s),
        pace=Pace({function: each / reference for function, each in seconds.items()}),
    )
    if exact:
        return model
    if mismatches:
        log.warning(
            "%s: this machine's results of %s differ from the golden hashes of %s; they are served "
            "under the rules of a float version",
            model.ref,
            ", ".join(mismatches),
            manifest.arithmetic,
        )
    if not _is_position_invariant(executor):
        log.warning("%s is so small that its images are computed one by one", model.ref)
        return replace(model, position_sensitive=True)
    largest = max(reference, max_large_batch_s / max(seconds.values()) * reference)
    sizes = [size for size in executor.other_batches if size <= largest]
    return replace(model, equivalent_batches=_equivalent_batches(executor, sizes))


def load_model(backend: Backend, stored: StoredModel) -> LoadedModel:
    """Load a version on the device of a backend and measure it.

    Raises RuntimeError if a GPU cannot take it, and NotReadyError if a library is missing.
    """
    return warm_up(
        stored.manifest,
        backend.load(stored),
        backend.device,
        stored.class_latents,
        typicality=stored.typicality,
        golden=stored.golden,
        directions=stored.directions,
    )


def _mismatches(hashes: Mapping[Function, str], golden: Mapping[str, str]) -> tuple[Function, ...]:
    """Return the functions whose results differ from the golden hashes."""
    return tuple(function for function, each in hashes.items() if golden.get(function) != each)


def _float_arithmetic(executor: Executor, device: str, hashes: Mapping[Function, str]) -> str:
    return f"float {executor.name} {device} {combined(hashes)}"


def _fastest_batch(executor: Executor, max_large_batch_s: float, max_repeats_s: float) -> int:
    """Return the batch size that takes the least time per row of every function.

    Sizes above the reference size are used only if such a batch takes at most `max_large_batch_s`.
    """
    per_row: dict[int, float] = {}
    for size in (executor.reference_batch, *executor.other_batches):
        seconds = _seconds(executor, size, max_repeats_s)
        slowest = max(seconds.values())
        if not per_row or slowest <= max_large_batch_s:
            per_row[size] = sum(seconds.values()) / size
        if slowest > max_large_batch_s:
            break  # larger sizes are slower still, and running them would take memory
    return min(per_row, key=lambda size: per_row[size])


def _seconds(executor: Executor, rows: int, max_repeats_s: float) -> dict[Function, float]:
    """Return the time (s) of a batch of this many rows, for each function."""
    return {
        function: _fastest_run(partial(executor.run, function, inputs), max_repeats_s)
        for function, inputs in _examples(executor, rows)
    }


def _fastest_run(run: Callable[[], object], max_repeats_s: float) -> float:
    """Return the shortest time (s) of RUNS runs, or of fewer if they take `max_repeats_s`."""
    seconds = [timeit.timeit(run, number=1)]
    while len(seconds) < RUNS and sum(seconds) < max_repeats_s:
        seconds.append(timeit.timeit(run, number=1))
    return min(seconds)


def _off_loop_functions(
    executor: Executor, seconds: Mapping[Function, float], max_on_loop_s: float
) -> frozenset[Function]:
    if executor.always_off_loop:
        return frozenset(seconds)
    return frozenset(function for function, each in seconds.items() if each > max_on_loop_s)


def _is_position_invariant(executor: Executor) -> bool:
    """Return True if a row's output bits do not depend on its position in the batch.

    Matrix libraries compute the edges of very small products in another order: those with an odd
    number of rows below 12 and fewer than 12 columns.
    """
    for function, inputs in _examples(executor, executor.reference_batch):
        outputs = executor.run(function, inputs)
        reversed_outputs = executor.run(function, tuple(rows[::-1].copy() for rows in inputs))
        pairs = zip(outputs, reversed_outputs, strict=True)
        if not all(np.array_equal(rows[::-1], reversed_rows) for rows, reversed_rows in pairs):
            return False
    return True


def _equivalent_batches(executor: Executor, sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the batch sizes that give the bits of the reference batch for every function."""
    reference = executor.reference_batch
    equivalent = tuple(size for size in sizes if size != reference)
    if not equivalent:
        return ()
    for function, inputs in _examples(executor, max((reference, *sizes))):
        expected = _run_in_batches(executor, function, inputs, reference)
        equivalent = tuple(
            size
            for size in equivalent
            if all(map(np.array_equal, _run_in_batches(executor, function, inputs, size), expected))
        )
    return equivalent


def _run_in_batches(
    executor: Executor, function: Function, inputs: tuple[Floats, ...], size: int
) -> list[NDArray[Any]]:
    """Run a function on many rows, `size` at a time; the number of rows is a multiple of `size`."""
    batches = (tuple(rows[i : i + size] for rows in inputs) for i in range(0, len(inputs[0]), size))
    parts = [executor.run(function, batch) for batch in batches]
    return [np.concatenate(rows) for rows in zip(*parts, strict=True)]


def _examples(executor: Executor, rows: int) -> Iterator[tuple[Function, tuple[Floats, ...]]]:
    """Yield each function with random inputs in [0, 1), of shapes (rows, ...)."""
    generator = np.random.default_rng(0)
    for function, shapes in executor.input_shapes.items():
        yield function, tuple(generator.random((rows, *shape), np.float32) for shape in shapes)
