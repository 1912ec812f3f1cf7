"""Send requests at given times, whether or not earlier ones were answered; one process, one thread.

    python -m benchmarks.serving.open_loop --port 8000 --path /generate?n=16 --rate 500 --seconds 10

Arrivals are a Poisson process. The latency of a request counts from its scheduled arrival, so that a
slow generator or a lack of connections cannot hide a wait. Each request uses a free connection, or a
new one. Another connection asks for /healthz meanwhile. Prints one JSON object.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import cast

import httptools
import numpy as np
import uvloop

MOST_CONNECTIONS = 2000
"""Connections at once; further arrivals wait for a free one, which counts as their latency."""
OPEN_AT_FIRST = 64
"""Connections that are open before the first arrival."""
HEALTH_PERIOD_S = 0.02
"""Time (s) between two requests for /healthz."""
DRAIN_S = 5.0
"""Longest time (s) that answers are awaited after the last arrival."""
_SPIN_S = 0.001
"""Resolution (s) of uvloop's timers: the time before an arrival that is spent polling."""


@dataclass
class Latencies:
    """Answers of one kind, and their latencies (ms)."""

    answers: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass
class Report:
    """Result of one load. Answers count if their requests arrived in the measured time."""

    offered_per_s: float
    goodput_per_s: float
    """Answers with status 200 per second, by the time of the answer."""
    admitted: Latencies
    """Answers with status 200."""
    refused: Latencies
    """Answers with status 503 or 429."""
    health: Latencies
    errors: int
    """Requests with another answer, or none."""
    late_ms: float
    """p99 of the time between scheduled arrival and sending, by the generator itself."""
    cpu_share: float
    """CPU time of the generator per second; near 1, the generator is the bottleneck."""


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Return the times (s) of a Poisson process of this rate."""
    generator = np.random.default_rng(seed)
    gaps = generator.exponential(1 / rate, round(rate * seconds * 1.2) + 100)
    times = np.cumsum(gaps)
    return [float(each) for each in times[times < seconds]]


@dataclass
class _Sent:
    scheduled: float
    sent: float
    answered: float = 0.0
    status: int = 0


@dataclass
class _Load:
    """State of one load, shared by its connections."""

    port: int
    request: bytes
    source: str
    """Address of the client."""
    choose: random.Random | None = None
    """Chooses one of the free connections; without it, the one that became free last is used."""
    free: list["_Connection"] = field(default_factory=list)
    queue: deque[_Sent] = field(default_factory=deque)
    connections: int = 0
    transports: list[asyncio.Transport] = field(default_factory=list)
    opening: set["asyncio.Task[None]"] = field(default_factory=set)

    def send(self, entry: _Sent) -> None:
        """Send on a free connection, or queue until there is one."""
        if self.free:
            last = len(self.free) - 1
            self.free.pop(last if self.choose is None else self.choose.randint(0, last)).start(
                entry
            )
            return
        self.queue.append(entry)
        if self.connections < MOST_CONNECTIONS:
            self.open_connection()

    def open_connection(self) -> None:
        """Start to open a further connection."""
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._connect())
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    def is_free(self, connection: "_Connection") -> None:
        """Use a connection for the next request."""
        if self.queue:
            connection.start(self.queue.popleft())
        else:
            self.free.append(connection)

    async def _connect(self) -> None:
        loop, address = asyncio.get_running_loop(), (self.source, 0)
        try:
            await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self.port, local_addr=address
            )
        except OSError:
            self.connections -= 1


class _Connection(asyncio.Protocol):
    """One connection with at most one request at a time."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._entry: _Sent | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._load.transports.append(self._transport)
        self._load.is_free(self)

    def start(self, entry: _Sent) -> None:
        assert self._transport is not None  # noqa: S101 - called after connection_made
        self._entry = entry
        entry.sent = time.perf_counter()
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None:
            entry.answered = time.perf_counter()
            entry.status = self._parser.get_status_code()
        if self._parser.should_keep_alive():
            self._load.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of the interface
        self._load.connections -= 1
        if self in self._load.free:
            self._load.free.remove(self)


async def run(
    port: int,
    request: bytes,
    times: list[float],
    *,
    source: str,
    skip_s: float,
    seconds: float,
    any_connection: bool = False,
) -> Report:
    """Send the requests and return the report of those that arrive after `skip_s`."""
    choose = random.Random(0) if any_connection else None  # noqa: S311 - no secret
    load = _Load(port, request, source, choose)
    for _ in range(OPEN_AT_FIRST):
        load.open_connection()
    await asyncio.wait(load.opening)
    health: list[tuple[float, float]] = []
    probe = asyncio.create_task(_probe(port, health))
    cpu = time.process_time()
    begin = time.perf_counter()
    entries = [_Sent(begin + at, 0.0) for at in times]
    waiting = deque(entries)
    while waiting:
        now = time.perf_counter()
        while waiting and waiting[0].scheduled <= now:
            load.send(waiting.popleft())
        gap = waiting[0].scheduled - now if waiting else 0.0
        await asyncio.sleep(gap - _SPIN_S if gap > 2 * _SPIN_S else 0)
    cpu = time.process_time() - cpu
    deadline = time.perf_counter() + DRAIN_S
    while any(not each.status for each in entries[-2000:]):
        if time.perf_counter() > deadline:
            break
        await asyncio.sleep(0.05)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    for transport in load.transports:
        transport.abort()
    await asyncio.sleep(0)
    return _report(entries, health, begin + skip_s, begin + seconds, cpu / seconds)


async def _probe(port: int, health: list[tuple[float, float]]) -> None:
    """Ask for /healthz periodically, and record (time, seconds)."""
    request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    while True:
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            await reader.read()
        finally:
            writer.close()
        health.append((began, time.perf_counter() - began))
        await asyncio.sleep(max(0.0, began + HEALTH_PERIOD_S - time.perf_counter()))


def _report(
    entries: list[_Sent],
    health: list[tuple[float, float]],
    start: float,
    stop: float,
    cpu_share: float,
) -> Report:
    measured = [each for each in entries if each.scheduled >= start]
    good = [each for each in measured if each.status == 200]
    refused = [each for each in measured if each.status in {429, 503}]
    in_time = [e for e in entries if e.status == 200 and start <= e.answered < stop]
    return Report(
        offered_per_s=len(measured) / (stop - start),
        goodput_per_s=len(in_time) / (stop - start),
        admitted=_latencies([each.answered - each.scheduled for each in good]),
        refused=_latencies([each.answered - each.scheduled for each in refused]),
        health=_latencies([seconds for at, seconds in health if start <= at < stop]),
        errors=len(measured) - len(good) - len(refused),
        late_ms=_latencies([e.sent - e.scheduled for e in measured if e.sent]).p99_ms,
        cpu_share=cpu_share,
    )


def _latencies(seconds: list[float]) -> Latencies:
    if not seconds:
        return Latencies(0, 0.0, 0.0, 0.0)
    p50, p99, most = np.percentile(np.array(seconds) * 1e3, [50, 99, 100])
    return Latencies(len(seconds), float(p50), float(p99), float(most))


def main() -> int:
    """Run one load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--method", default="POST")
    parser.add_argument("--body", default="")
    parser.add_argument("--rate", type=float, required=True, help="arrivals per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--skip", type=float, default=3.0, help="first seconds, not measured")
    parser.add_argument("--source", default="127.0.0.1", help="address of the client")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--any-connection",
        action="store_true",
        help="use all connections, and so all workers, alike",
    )
    options = parser.parse_args()
    body = options.body.encode()
    request = (
        f"{options.method} {options.path} HTTP/1.1\r\nhost: localhost\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    times = arrivals(options.rate, options.seconds, options.seed)
    load = run(
        options.port,
        request,
        times,
        source=options.source,
        skip_s=options.skip,
        seconds=options.seconds,
        any_connection=options.any_connection,
    )
    report = uvloop.run(load)
    json.dump(asdict(report), sys.stdout)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
