"""Clients that send requests one after the other, and what they counted."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

CLIENTS = 6


@dataclass(frozen=True)
class Failure:
    """A request that was not answered with 200."""

    started: float
    """Time at which it was sent, by the monotonic clock."""
    reason: str


@dataclass
class Load:
    """Answers and failures that the clients of a load have counted so far."""

    answers: int = 0
    failures: list[Failure] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, client: httpx.Client, path: str) -> None:
        """Send a request and count it."""
        started = time.monotonic()
        try:
            answer = client.get(path)
            reason = "" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:90]}"
        except httpx.HTTPError as error:
            reason = repr(error)
        with self._lock:
            if reason:
                self.failures.append(Failure(started, reason))
            else:
                self.answers += 1


@contextmanager
def load(url: str, clients: int = CLIENTS, images: int = 16) -> Iterator[Load]:
    """Send requests from several clients while the block runs; all are answered at its end."""
    load, over, seeds = Load(), threading.Event(), itertools.count()

    def send() -> None:
        with httpx.Client(base_url=url, timeout=120) as client:
            while not over.is_set():
                load.send(client, f"/generate?n={images}&seed={next(seeds)}")

    with ThreadPoolExecutor(clients) as pool:
        for _ in range(clients):
            pool.submit(send)
        try:
            yield load
        finally:
            over.set()
