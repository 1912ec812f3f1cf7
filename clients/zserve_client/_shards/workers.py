"""The worker processes of a job: give each a shard at a time, and repeat what failed."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from threading import Event, Lock
from typing import Any

from zserve_client._shards.plan import JobPlan, Shard
from zserve_client.errors import IncompleteJobError

ATTEMPTS = 4
"""Attempts at each shard; in each, a refused request is repeated several times."""
FIRST_WAIT_S = 1.0
PATIENCE_S = 10.0
"""Time that an interrupted worker gets to delete its temporary files, in seconds."""

ProgressCallback = Callable[[int, int], None]
"""Is called with the number of images that have arrived, and the number at the end."""


class Counter:
    """The number of images that have arrived, of all workers."""

    def __init__(self, present: int, total: int, progress: ProgressCallback) -> None:
        self._done, self._total, self._progress = present, total, progress
        self._lock = Lock()
        self.add(0)

    def add(self, images: int) -> None:
        """Count images; a negative number takes those of a failed attempt back."""
        with self._lock:
            self._done += images
            self._progress(self._done, self._total)


class ShardError(Exception):
    """A shard could not be made.

    Attributes:
        temporary: True if another attempt may succeed.
    """

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class Worker:
    """A process that makes one shard at a time."""

    def __init__(self, job: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "zserve_client._shards.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines = [json.dumps(job)]

    def make(self, shard: Shard, counter: Counter) -> Mapping[str, Any]:
        """Make a shard and return its record; raises ShardError."""
        arrived = 0
        for message in self._messages(shard):
            if "record" in message:
                record: Mapping[str, Any] = message["record"]
                return record
            if "error" in message:
                counter.add(-arrived)
                raise ShardError(message["error"], temporary=message["temporary"])
            arrived += message["images"]
            counter.add(message["images"])
        counter.add(-arrived)
        raise ShardError(f"a worker process ended ({self.process.wait()})", temporary=True)

    def _messages(self, shard: Shard) -> Iterator[Mapping[str, Any]]:
        """Send the number of a shard, and yield what the process answers until it ends."""
        lines, self._lines = [*self._lines, str(shard.number)], []
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None  # noqa: S101 - both are pipes
        assert stdout is not None  # noqa: S101
        try:
            stdin.write("".join(f"{line}\n" for line in lines))
            stdin.flush()
        except BrokenPipeError:
            return
        for line in stdout:
            yield json.loads(line)

    def interrupt(self) -> None:
        """End the process now; a shard that it makes is given up."""
        self.process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def close(self) -> None:
        """Wait for the end of the process, which comes when its input ends."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()


class Workers:
    """Makes shards with several processes.

    Args:
        url: Address of the service.
        place: Folder or address of the shards.
    """

    def __init__(self, url: str, place: str, plan: JobPlan, counter: Counter) -> None:
        self._job = {"url": url, "place": place, "plan": plan.to_json().decode()}
        self._counter = counter
        self._stopped = Event()
        self._lock = Lock()
        self._running: list[Worker] = []
        self._records: dict[int, Mapping[str, Any]] = {}

    def make(self, shards: Sequence[Shard], processes: int) -> dict[int, Mapping[str, Any]]:
        """Make shards and return their records by number; raises IncompleteJobError.

        The first shard that fails for good ends the other workers too.
        """
        todo: queue.SimpleQueue[Shard] = queue.SimpleQueue()
        for shard in shards:
            todo.put(shard)
        with ThreadPoolExecutor(processes) as pool:
            futures = [pool.submit(self._drive, todo) for _ in shards[:processes]]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop()
        errors = [error for future in futures if (error := future.exception()) is not None]
        if not errors:
            return self._records
        if not isinstance(errors[0], ShardError):
            raise errors[0]
        missing = len(shards) - len(self._records)
        raise IncompleteJobError(
            f"{missing} of {len(shards)} shards are still missing: {errors[0]}; run the command "
            "again to continue"
        )

    def _stop(self) -> None:
        """Interrupt the workers that have not ended."""
        self._stopped.set()
        with self._lock:
            for worker in self._running:
                worker.interrupt()

    def _drive(self, todo: queue.SimpleQueue[Shard]) -> None:
        """Make shards until none is left, with one process after the other if processes die."""
        shard: Shard | None = None
        attempt = 0
        while not self._stopped.is_set():
            with self._worker() as worker:
                while worker.process.poll() is None:
                    if shard is None:
                        shard, attempt = _next(todo), 1
                    if shard is None or self._stopped.is_set():
                        return
                    try:
                        self._records[shard.number] = worker.make(shard, self._counter)
                        shard = None
                    except ShardError as error:
                        if self._stopped.is_set():
                            return
                        if attempt == ATTEMPTS or not error.temporary:
                            raise
                        self._stopped.wait(FIRST_WAIT_S * 2 ** (attempt - 1))
                        attempt += 1

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        """Run a worker process, which `_stop` can interrupt."""
        with self._lock:
            worker = Worker(self._job)
            self._running.append(worker)
        try:
            if self._stopped.is_set():
                worker.interrupt()
            yield worker
        finally:
            worker.close()
            with self._lock:
                self._running.remove(worker)


def _next(todo: queue.SimpleQueue[Shard]) -> Shard | None:
    try:
        return todo.get_nowait()
    except queue.Empty:
        return None
