"""How fast a service answers: closed-loop load, and what it says about its own times."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from zserve_client.async_client import AsyncClient
from zserve_client.errors import ProblemError
from zserve_client.results import SEEDS


@dataclass
class Tally:
    """What was seen so far."""

    latencies_s: list[float] = field(default_factory=list)
    queue_ms: list[float] = field(default_factory=list)
    inference_ms: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """What is asked: `concurrency` clients, each with its next request once it has an answer."""

    n: int = 1
    concurrency: int = 8
    duration_s: float = 10.0
    warm_up_s: float = 1.0
    model: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Report:
    """Answers a second, and milliseconds from request to the last byte of the answer."""

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


async def bench(url: str, load: Load, *, progress: Callable[[float], None] | None = None) -> Report:
    """Ask for samples for some seconds, each time with another seed, so that no cache can help.

    Refusals are counted by their type and not sent again. Raises NoAnswerError, and the first
    problem where there was no answer at all.
    """
    async with AsyncClient(url, retries=0) as client:
        model = (await client.generate(load.n, model=load.model, seed=load.seed)).model
        clock = _Clock(load)
        tally, seen = Tally(), list[ProblemError]()
        work = [
            asyncio.create_task(
                _ask(
                    client,
                    model=model,
                    load=load,
                    first=first,
                    clock=clock,
                    tally=tally,
                    seen=seen,
                )
            )
            for first in range(load.concurrency)
        ]
        try:
            while not all(task.done() for task in work):
                await asyncio.wait(work, timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
                if progress:
                    progress(clock.elapsed_s)
                _raise_first(work)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
    if not tally.latencies_s and seen:
        raise seen[0]
    return _report(model, load, tally, clock.counted_s)


class _Clock:
    """Time since the beginning; what begins before the warm-up is over is not counted."""

    def __init__(self, load: Load) -> None:
        self._begin = time.perf_counter()
        self._load = load
        self._last = self._begin

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._begin

    @property
    def over(self) -> bool:
        return self.elapsed_s >= self._load.warm_up_s + self._load.duration_s

    def counts(self, begun: float) -> bool:
        self._last = time.perf_counter()
        return begun - self._begin >= self._load.warm_up_s

    @property
    def counted_s(self) -> float:
        """From the end of the warm-up to the last answer."""
        return self._last - self._begin - self._load.warm_up_s


async def _ask(
    client: AsyncClient,
    *,
    model: str,
    load: Load,
    first: int,
    clock: _Clock,
    tally: Tally,
    seen: list[ProblemError],
) -> None:
    """One client: seeds `first`, `first + concurrency` and so on, n images apart."""
    seed = load.seed + first * load.n
    while not clock.over:
        begun = time.perf_counter()
        try:
            answer = await client.generate(load.n, seed=seed % SEEDS, model=model)
        except ProblemError as problem:
            seen.append(problem)
            if clock.counts(begun):
                tally.refused[problem.type] = tally.refused.get(problem.type, 0) + 1
            await asyncio.sleep(0.01)  # a refusal is quick: this is load, and no attack
        else:
            if clock.counts(begun):
                tally.latencies_s.append(time.perf_counter() - begun)
                tally.queue_ms += [] if answer.queue_ms is None else [answer.queue_ms]
                tally.inference_ms += [] if answer.inference_ms is None else [answer.inference_ms]
        seed += load.n * load.concurrency


def _raise_first(work: Sequence[asyncio.Task[None]]) -> None:
    for task in work:
        if task.done() and (error := task.exception()):
            raise error


def _report(model: str, load: Load, tally: Tally, counted_s: float) -> Report:
    milliseconds = sorted(1e3 * latency for latency in tally.latencies_s)
    answers = len(milliseconds)
    rate = answers / counted_s if counted_s > 0 else 0.0
    return Report(
        model=model,
        n=load.n,
        concurrency=load.concurrency,
        duration_s=counted_s,
        answers=answers,
        refused=tally.refused,
        answers_per_s=rate,
        images_per_s=rate * load.n,
        p50_ms=percentile(milliseconds, 0.50),
        p95_ms=percentile(milliseconds, 0.95),
        p99_ms=percentile(milliseconds, 0.99),
        worst_ms=milliseconds[-1] if milliseconds else float("nan"),
        queue_p50_ms=statistics.median(tally.queue_ms) if tally.queue_ms else None,
        inference_p50_ms=statistics.median(tally.inference_ms) if tally.inference_ms else None,
    )


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them do not exceed; nan of none."""
    if not ascending:
        return float("nan")
    return ascending[max(0, -int(-share * len(ascending) // 1) - 1)]
