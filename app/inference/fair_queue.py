"""The waiting jobs: clients take turns, models of one client take turns, jobs of one model take turns.

Turns are shared by time, not by number: the computing time of every batch is charged to the clients
whose rows it has, and the client that was charged least is next (self-clocked fair queueing, Golestani
1994). A client that joins starts at the charge of the client that was served last, so that time
without requests earns nothing. Rows of other clients fill up a batch if they need the same
function of the same model.
"""

from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import NamedTuple

from app.inference.batching import BatchSlice, Job, fill_batch
from app.inference.loaded_model import LoadedModel

_charge: Callable[["ClientJobs"], float] = attrgetter("charged_s")


class _ModelJobs:
    """Jobs of one client for one model, and the computing time (s) charged to them."""

    __slots__ = ("charged_s", "jobs")

    def __init__(self, charged_s: float) -> None:
        self.charged_s = charged_s
        self.jobs: deque[Job] = deque()


class ClientJobs:
    """Jobs of one client."""

    __slots__ = ("charged_s", "count", "models", "name", "now_s", "work_s")

    def __init__(self, name: str, charged_s: float) -> None:
        self.name = name
        self.charged_s = charged_s
        self.models: dict[LoadedModel, _ModelJobs] = {}
        self.now_s = 0.0
        """Charge (s) of the model that was served last."""
        self.count = 0
        """Number of jobs with rows that wait."""
        self.work_s = 0.0
        """Estimated computing time (s) of the rows that wait."""

    def charge_of(self, model: LoadedModel) -> float:
        """Return the computing time (s) charged to the jobs for a model."""
        return self.models[model].charged_s


class Backlog(NamedTuple):
    """The work before a request that would join the queue now; times in seconds."""

    own_s: float
    """Computing time of the waiting rows of the same client."""
    own_jobs: int
    """Number of waiting jobs of the same client."""
    total_s: float
    """Computing time of all waiting rows."""
    other_clients: int
    """Number of other clients with waiting jobs."""


class FairQueue:
    """Jobs that wait for a batch."""

    def __init__(self) -> None:
        self._now_s = 0.0
        """Charge (s) of the client that was served last."""
        self.work_s = 0.0
        """Estimated computing time (s) of all rows that wait."""
        self.clients: dict[str, ClientJobs] = {}
        """Client -> its jobs; a client without jobs has no entry."""

    def backlog(self, client: str) -> Backlog:
        """Return the work before a request that this client would add now."""
        own = self.clients.get(client)
        if own is None:
            return Backlog(0.0, 0, self.work_s, len(self.clients))
        return Backlog(own.work_s, own.count, self.work_s, len(self.clients) - 1)

    def add(self, job: Job) -> None:
        """Add a job, none of whose rows is in a batch yet."""
        client = self.clients.get(job.client)
        if client is None:
            client = self.clients[job.client] = ClientJobs(job.client, self._now_s)
        model = client.models.get(job.model)
        if model is None:
            model = client.models[job.model] = _ModelJobs(client.now_s)
        model.jobs.append(job)
        work_s = job.rows * job.row_s
        client.count += 1
        client.work_s += work_s
        self.work_s += work_s

    def withdraw(self, job: Job) -> None:
        """Forget the waiting rows of a job whose answer is done. Idempotent."""
        client = self.clients.get(job.client)
        if client is not None and job.dispatched < job.rows:
            client.count -= 1
            client.work_s -= job.waiting_s
            self.work_s -= job.waiting_s
            job.dispatched = job.rows

    def next_batch(self, max_requests: int) -> list[BatchSlice]:
        """Take rows for one batch; returns an empty list if nothing is left to compute."""
        slices: list[BatchSlice] = []
        while self.clients and not slices:
            if len(self.clients) == 1:
                (client,) = self.clients.values()
            else:
                client = min(self.clients.values(), key=_charge)
            if len(client.models) == 1:
                (model,) = client.models
            else:
                model = min(client.models, key=client.charge_of)
            self._take(client, model, slices, max_requests)
            if self.clients:
                self._now_s = client.charged_s
        if slices and self.clients:
            self._fill_up(slices, max_requests)
        return slices

    def clear(self) -> list[Job]:
        """Remove and return all jobs."""
        jobs = [
            job
            for client in self.clients.values()
            for model in client.models.values()
            for job in model.jobs
        ]
        self.clients.clear()
        self._reset()
        return jobs

    def _fill_up(self, slices: list[BatchSlice], max_requests: int) -> None:
        """Add rows of other clients that need the same function of the same model."""
        first = slices[0].job
        room = first.model.max_batch - sum(part.stop - part.start for part in slices)
        if room == 0 or len(slices) == max_requests:
            return
        for client in sorted(self.clients.values(), key=_charge):
            if client.name != first.client and first.model in client.models:
                self._take(client, first.model, slices, max_requests)

    def _take(
        self, client: ClientJobs, model: LoadedModel, slices: list[BatchSlice], max_requests: int
    ) -> None:
        """Add rows of a client's jobs for one model to a batch, and charge them."""
        waiting = client.models[model]
        before = len(slices)
        fill_batch(waiting.jobs, slices, max_requests, self.withdraw)
        seconds = 0.0
        for part in slices[before:]:
            job = part.job
            seconds += (part.stop - part.start) * job.row_s
            if part.stop == job.rows:
                client.count -= 1
        client.now_s = waiting.charged_s = waiting.charged_s + seconds
        client.charged_s += seconds
        client.work_s -= seconds
        self.work_s -= seconds
        if not waiting.jobs:
            del client.models[model]
            if not client.models:
                del self.clients[client.name]
                if not self.clients:
                    self._reset()

    def _reset(self) -> None:
        """Start to count anew, so that rounding errors do not accumulate."""
        self._now_s = self.work_s = 0.0
