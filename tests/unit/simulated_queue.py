"""One server with a fair queue and an admission, in virtual time."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from app.inference.admission import Admission, wait_s
from app.inference.batching import Job
from app.inference.fair_queue import FairQueue
from app.inference.loaded_model import LoadedModel
from tests.unit.inference_models import TINY, Elementwise, with_executor

LOOP = asyncio.new_event_loop()


def a_model(max_batch: int = 16) -> LoadedModel:
    executor = Elementwise()
    executor.reference_batch = max_batch
    return with_executor(executor, TINY)


def a_job(model: LoadedModel, client: str = "a", rows: int = 1, row_s: float = 1.0) -> Job:
    inputs = (np.zeros((rows, 3), np.float32),)
    return Job(model, "decode", inputs, rows, LOOP.create_future(), client, row_s)


@dataclass(frozen=True)
class Arrival:
    at: float
    client: str = "a"
    rows: int = 1


@dataclass
class Outcome:
    """Results of the requests; times in seconds."""

    arrival: Arrival
    ended: float | None = None
    """Time of the answer; None if it was refused."""

    @property
    def seconds(self) -> float:
        assert self.ended is not None
        return self.ended - self.arrival.at


@dataclass
class Server:
    """Computes one batch after the other, each in the time of its rows."""

    row_s: float
    target_s: float | None = 2.0
    """Target of the admission; None admits everything."""
    model: LoadedModel = field(default_factory=lambda: a_model(1))
    most_rows: int | None = None
    """Maximum number of rows that are queued or being computed."""
    busy_s: float = 0.0
    ends: float = 0.0
    """End of the running batch."""

    def __post_init__(self) -> None:
        self.queue = FairQueue()
        self.admission = Admission(self.target_s or 1.0)
        self.outcomes: dict[Job, Outcome] = {}
        self.running: list[Job] = []

    def run(self, arrivals: Iterable[Arrival]) -> list[Outcome]:
        """Answer or refuse requests that arrive in this order; returns their outcomes."""
        outcomes = []
        for arrival in arrivals:
            self.advance(arrival.at)
            outcomes.append(self.ask(arrival))
            self.advance(arrival.at)
        self.advance(float("inf"))
        return outcomes

    def ask(self, arrival: Arrival) -> Outcome:
        outcome = Outcome(arrival)
        work_s, turn_s = arrival.rows * self.row_s, self.model.max_batch * self.row_s
        waiting = bool(self.running or self.queue.clients)
        if self.most_rows is not None:
            room = self.most_rows - sum(
                job.rows for job, each in self.outcomes.items() if each.ended is None
            )
            if arrival.rows > room:
                expected = wait_s(self.queue.backlog(arrival.client), work_s, turn_s)
                self.admission.refused(expected, arrival.at, room_s=room * self.row_s)
                return outcome
        if self.target_s is not None and (waiting or self.admission.overloaded):
            expected = wait_s(self.queue.backlog(arrival.client), work_s, turn_s)
            expected += max(0.0, self.ends - arrival.at)
            if not self.admission.admits(arrival.client, work_s, expected, turn_s, arrival.at):
                self.admission.refused(expected, arrival.at)
                return outcome
            self.admission.admitted(arrival.client, work_s, arrival.at)
        job = a_job(self.model, arrival.client, arrival.rows, self.row_s)
        self.outcomes[job] = outcome
        self.queue.add(job)
        return outcome

    def advance(self, now: float) -> None:
        """Compute all batches that begin before `now`."""
        while self.ends <= now:
            for job in self.running:
                self.outcomes[job].ended = self.ends
            self.running = []
            slices = self.queue.next_batch(64)
            if not slices:
                self.ends = max(self.ends, now) if now != float("inf") else self.ends
                return
            seconds = sum((part.stop - part.start) * self.row_s for part in slices)
            self.running = [part.job for part in slices if part.stop == part.job.rows]
            self.busy_s += seconds
            self.ends += seconds


def poisson(
    rate: float, seconds: float, client: str = "a", rows: int = 1, seed: int = 0
) -> list[Arrival]:
    """Return the arrivals of a Poisson process."""
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.exponential(1 / rate, round(rate * seconds * 1.5) + 10))
    return [Arrival(float(at), client, rows) for at in times[times < seconds]]


def merged(*streams: Iterable[Arrival]) -> list[Arrival]:
    return sorted((each for stream in streams for each in stream), key=lambda each: each.at)


def percentile(outcomes: Iterable[Outcome], q: float, start: float = 0.0) -> float:
    """Return a percentile of the seconds to the answers of those that arrived after `start`."""
    values = [e.seconds for e in outcomes if e.ended is not None and e.arrival.at >= start]
    return float(np.percentile(values, q))
