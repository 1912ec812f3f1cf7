"""Measure how fast a service answers, with closed-loop load.

Each of several clients sends its next request as soon as it has the reply to the last one.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from zserve_client._async_client import AsyncClient
from zserve_client._results import SEED_COUNT
from zserve_client.errors import ProblemError

PAUSE_AFTER_REFUSAL_S = 0.01
"""Pause (s) of a client after a refusal, which takes little time: without it, clients would flood the
service with requests."""


@dataclass(frozen=True)
class Load:
    """The load on the service.

    Attributes:
        n: Images in each request.
        concurrency: Number of clients.
        duration_s: Measured time in seconds.
        warm_up_s: Time before the measurement, in seconds.
        seed: First seed. Each request has another one, so that no cache can answer it.
    """

    n: int = 1
    concurrency: int = 8
    duration_s: float = 10.0
    warm_up_s: float = 1.0
    model: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class LoadReport:
    """The measured rates and latencies.

    Attributes:
        duration_s: Time from the end of the warm-up to the last reply, in seconds.
        answers: Number of answers in this time.
        refused: Number of refusals by problem type.
        p50_ms: Median latency from the request to the end of its reply, in milliseconds; p95_ms,
            p99_ms and worst_ms are the same for 95 %, 99 % and all of the answers.
        queue_p50_ms: Median time in the queue of the service, None if it is not reported.
        inference_p50_ms: Median time of the computation, None if it is not reported.
    """

    model: str
    n: int
    concurrency: int
    duration_s: float
    answers: int
    refused: dict[str, int]
    answers_per_s: float
    images_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float
    queue_p50_ms: float | None
    inference_p50_ms: float | None


class Measurement:
    """Collects latencies, and leaves out requests that were sent during the warm-up."""

    def __init__(self, load: Load, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.latencies_s: list[float] = []
        self.queue_ms: list[float] = []
        self.inference_ms: list[float] = []
        self.refused: dict[str, int] = {}
        self.first_problem: ProblemError | None = None
        self._load = load
        self._start = self._last_reply = clock()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the start of the warm-up."""
        return self.clock() - self._start

    @property
    def is_over(self) -> bool:
        """Return True once no more requests should be sent."""
        return self.elapsed_s >= self._load.warm_up_s + self._load.duration_s

    def add_answer(
        self, sent_at: float, queue_ms: float | None, inference_ms: float | None
    ) -> None:
        """Record an answer, and the times that the service reports."""
        if not self._counts(sent_at):
            return
        self.latencies_s.append(self.clock() - sent_at)
        if queue_ms is not None:
            self.queue_ms.append(queue_ms)
        if inference_ms is not None:
            self.inference_ms.append(inference_ms)

    def add_refusal(self, sent_at: float, problem: ProblemError) -> None:
        """Record a refusal by its problem type."""
        self.first_problem = self.first_problem or problem
        if self._counts(sent_at):
            self.refused[problem.type] = self.refused.get(problem.type, 0) + 1

    def _counts(self, sent_at: float) -> bool:
        self._last_reply = self.clock()
        return sent_at - self._start >= self._load.warm_up_s

    def report(self, model: str) -> LoadReport:
        """Summarise the time from the end of the warm-up to the last reply."""
        measured_s = self._last_reply - self._start - self._load.warm_up_s
        latencies_ms = sorted(1e3 * latency for latency in self.latencies_s)
        rate = len(latencies_ms) / measured_s if measured_s > 0 else 0.0
        return LoadReport(
            model=model,
            n=self._load.n,
            concurrency=self._load.concurrency,
            duration_s=measured_s,
            answers=len(latencies_ms),
            refused=self.refused,
            answers_per_s=rate,
            images_per_s=rate * self._load.n,
            p50_ms=percentile(latencies_ms, 0.50),
            p95_ms=percentile(latencies_ms, 0.95),
            p99_ms=percentile(latencies_ms, 0.99),
            worst_ms=latencies_ms[-1] if latencies_ms else float("nan"),
            queue_p50_ms=statistics.median(self.queue_ms) if self.queue_ms else None,
            inference_p50_ms=statistics.median(self.inference_ms) if self.inference_ms else None,
        )


async def run_load(
    url: str,
    load: Load,
    *,
    token: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> LoadReport:
    """Put a load on a service; `progress` is called with the elapsed seconds.

    Refused requests are counted by problem type and not repeated. Raises NoAnswerError, and the
    first problem if every request was refused.
    """
    async with AsyncClient(url, token=token, retries=0) as client:
        model = (await client.generate(load.n, model=load.model, seed=load.seed)).model
        measurement = Measurement(load)
        tasks = [
            asyncio.create_task(_send_requests(client, model, load, i, measurement))
            for i in range(load.concurrency)
        ]
        try:
            while not all(task.done() for task in tasks):
                await asyncio.wait(tasks, timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
                if progress:
                    progress(measurement.elapsed_s)
                _raise_first_error(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if not measurement.latencies_s and measurement.first_problem:
        raise measurement.first_problem
    return measurement.report(model)


async def _send_requests(
    client: AsyncClient, model: str, load: Load, index: int, measurement: Measurement
) -> None:
    """Send the requests of one client; no two requests of a load share a seed."""
    seed = load.seed + index * load.n
    while not measurement.is_over:
        sent_at = measurement.clock()
        try:
            grid = await client.generate(load.n, seed=seed % SEED_COUNT, model=model)
        except ProblemError as problem:
            measurement.add_refusal(sent_at, problem)
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
        else:
            measurement.add_answer(sent_at, grid.queue_ms, grid.inference_ms)
        seed += load.n * load.concurrency


def _raise_first_error(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done() and (error := task.exception()):
            raise error


def percentile(ascending: Sequence[float], fraction: float) -> float:
    """Return the smallest value that is at least as large as this fraction of the values."""
    if not ascending:
        return float("nan")
    return ascending[max(0, -int(-fraction * len(ascending) // 1) - 1)]
