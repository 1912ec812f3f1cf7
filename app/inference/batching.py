"""Batches: choose rows of requests that are computed together, and return their results.

A batch of an exact model has as many rows as are requested. Other batches have one of a few fixed
sizes and are filled up with rows of zeros. Rows of several requests share a batch if they need the
same function of the same model. Requests take turns, one batch at a time, so that a small request
never waits for all of a large one. `fair_queue` decides whose turn it is.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.executor import Function
from app.inference.loaded_model import LoadedModel
from app.typing import Floats


@dataclass(eq=False, slots=True)
class Job:
    """One request to the engine: a function of a model, and inputs (rows, ...)."""

    model: LoadedModel
    function: Function
    inputs: tuple[Floats, ...]
    rows: int
    """Number of rows of the inputs."""
    answer: "asyncio.Future[tuple[NDArray[Any], ...]]"
    client: str = ""
    """Address of the client, with which it takes turns; empty for the service itself."""
    row_s: float = 0.0
    """Estimated computing time (s) of one row."""
    queued_at: float = field(default_factory=time.perf_counter)
    dispatched: int = 0
    """Number of rows that are already in a batch."""
    outputs: tuple[NDArray[Any], ...] = ()
    queue_s: float = 0.0
    """Seconds between queueing and the start of the first batch."""
    inference_s: float = 0.0
    """Total time (s) of the batches with rows of this request."""

    @property
    def waiting_s(self) -> float:
        """Estimated computing time (s) of the rows that are in no batch yet."""
        return (self.rows - self.dispatched) * self.row_s


@dataclass(eq=False, slots=True)
class BatchSlice:
    """Rows start..stop of a job, as part of one batch."""

    job: Job
    start: int
    stop: int
    seconds: float = 0.0
    """Time (s) of the whole batch."""


def fill_batch(
    jobs: deque[Job],
    slices: list[BatchSlice],
    max_requests: int,
    on_done: Callable[[Job], None],
) -> None:
    """Add rows of jobs for one model to a batch; an empty batch takes the function of the first job.

    If rows of the job that began the batch remain, it goes to the end of `jobs`. Jobs whose future
    is already done, such as cancelled ones, are removed and passed to `on_done`.
    """
    first = slices[0].job if slices else None
    room = 1 if first is None else first.model.max_batch - sum(p.stop - p.start for p in slices)
    skipped: list[Job] = []
    while jobs and room and len(slices) < max_requests:
        job = jobs.popleft()
        if job.answer.done():
            on_done(job)
            continue
        if first is None:
            first = job
            room = job.model.max_batch
        elif job.function != first.function:
            skipped.append(job)
            continue
        start = job.dispatched
        stop = min(job.rows, start + room)
        slices.append(BatchSlice(job, start, stop))
        job.dispatched = stop
        room -= stop - start
        if stop < job.rows:
            if job is first:
                jobs.append(job)
            else:
                skipped.append(job)
    jobs.extendleft(reversed(skipped))


def compute(slices: Sequence[BatchSlice]) -> None:
    """Run one batch and give each job its rows of the outputs."""
    first = slices[0].job
    begin = time.perf_counter()
    rows = sum([part.stop - part.start for part in slices])
    size = rows if first.model.exact else first.model.batch_size_for(rows)
    inputs = tuple(
        _stack([part.job.inputs[i][part.start : part.stop] for part in slices], size)
        for i in range(len(first.inputs))
    )
    outputs = first.model.executor.run(first.function, inputs)
    row = 0
    for part in slices:
        _store_rows(part, outputs, row)
        row += part.stop - part.start
    seconds = time.perf_counter() - begin
    for part in slices:
        part.seconds = seconds
        if part.start == 0:
            part.job.queue_s = begin - part.job.queued_at
        part.job.inference_s += seconds


def compute_rows(
    model: LoadedModel, function: Function, inputs: Sequence[Floats]
) -> tuple[NDArray[Any], ...]:
    """Compute all rows of the inputs, (rows, ...), in batches of the sizes that requests have."""
    rows = len(inputs[0])
    parts: list[list[NDArray[Any]]] = []
    for start in range(0, max(rows, 1), model.max_batch):
        taken = min(model.max_batch, rows - start)
        size = taken if model.exact else model.batch_size_for(taken)
        batch = tuple(_stack([each[start : start + taken]], size) for each in inputs)
        parts.append([output[:taken] for output in model.executor.run(function, batch)])
    if len(parts) == 1:
        return tuple(parts[0])
    return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _stack(parts: Sequence[Floats], size: int) -> Floats:
    """Stack the parts and fill up with zeros; (size, ...). A single part of this size is not copied."""
    if len(parts) == 1 and len(parts[0]) == size:
        return parts[0]
    batch = np.zeros((size, *parts[0].shape[1:]), np.float32)
    row = 0
    for part in parts:
        batch[row : row + len(part)] = part
        row += len(part)
    return batch


def _store_rows(part: BatchSlice, outputs: Sequence[NDArray[Any]], row: int) -> None:
    """Store the job's rows of the outputs of a batch, which begin at `row`.

    A job that fills at least a quarter of the batch gets views instead of copies; they keep the
    memory of the whole batch alive.
    """
    job, rows = part.job, part.stop - part.start
    values = [output[row : row + rows] for output in outputs]
    if rows == job.rows and rows * 4 >= len(outputs[0]):
        job.outputs = tuple(values)
        return
    if not job.outputs:
        job.outputs = tuple(np.empty((job.rows, *each.shape[1:]), each.dtype) for each in values)
    for output, each in zip(job.outputs, values, strict=True):
        output[part.start : part.stop] = each
