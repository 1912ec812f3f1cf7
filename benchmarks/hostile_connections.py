"""Measure the service while one client holds thousands of slow or idle connections.

    .venv/bin/python -m benchmarks.hostile_connections [--connections 2000] [--record]

Starts the service with one worker. A well-behaved client asks for one image, in turn over one
connection that stays open and over a new one. It is measured alone, then beside connections that
send nothing, send headers or a body at one byte per second, or stay open after an answer. They are
opened once, and the time until the service has closed the last of them is measured; then they are
opened again as soon as they are closed. At last, archives are requested and not read.
"""

import argparse
import asyncio
import contextlib
import itertools
import multiprocessing
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table

CHECKOUT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
HELD_AT_MOST_S = 90.0
"""Time (s) after which connections that are still open are counted as never closed."""
PAUSE_S = 0.02
"""Pause (s) of the well-behaved client after an answer."""
ARCHIVES = 60
"""Archives that are not read; each costs the computation of what the buffers hold."""
_HEAD = b"Host: x\r\n"
UNREAD = "unread archive"
KINDS: dict[str, bytes] = {
    "silent": b"",
    "slow headers": b"GET / HTTP/1.1\r\n" + _HEAD + b"A: ",
    "slow body": b"POST /encode HTTP/1.1\r\n"
    + _HEAD
    + b"Content-Type: image/png\r\nContent-Length: 100000\r\n\r\n",
    "idle after an answer": b"GET /healthz HTTP/1.1\r\n" + _HEAD + b"\r\n",
    UNREAD: b"GET /generate?n=10000&format=zip HTTP/1.1\r\n" + _HEAD + b"\r\n",
}
"""Kind of connection -> the bytes that it sends at once."""
SLOW = tuple(kind for kind in KINDS if kind != UNREAD)
_ESTABLISHED = 1
"""State of an open connection in TCP_INFO."""
_DRIPS = ("slow headers", "slow body")


class Attacker(asyncio.Protocol):
    """One connection; it records when it was opened and closed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first bytes."""
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.write(KINDS[self.kind])
        if self.kind == UNREAD:
            transport.pause_reading()
            self._poll()
        if self.kind in _DRIPS:
            self._drip()

    def connection_lost(self, _: Exception | None) -> None:
        """Record the end."""
        if not self.closed.done():
            self.closed.set_result(None)

    def _drip(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(b"x")
            asyncio.get_running_loop().call_later(1.0, self._drip)

    def _poll(self) -> None:
        """Look for a reset, which a connection that is not read does not report."""
        if self.transport.is_closing():
            return
        connection = self.transport.get_extra_info("socket")
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == _ESTABLISHED:
            asyncio.get_running_loop().call_later(0.5, self._poll)
        else:
            self.transport.abort()


def attack(
    port: int, kinds: Sequence[str], count: int, *, again: bool, results: Connection
) -> None:
    """Hold `count` connections until the service closes them, or for HELD_AT_MOST_S.

    Sends "open" when all are open, and then kind -> longest time (s) until one was closed.
    """
    asyncio.run(_attack(port, kinds, count, again=again, results=results))


async def _attack(
    port: int, kinds: Sequence[str], count: int, *, again: bool, results: Connection
) -> None:
    loop = asyncio.get_running_loop()
    begin = loop.time()
    longest = dict.fromkeys(kinds, 0.0)
    connected = asyncio.Semaphore(0)

    async def hold(kind: str) -> None:
        while True:
            opened = loop.time()
            with contextlib.suppress(OSError):
                _, attacker = await loop.create_connection(lambda: Attacker(kind), HOST, port)
                connected.release()
                await asyncio.wait([attacker.closed], timeout=HELD_AT_MOST_S)
                attacker.transport.abort()
            longest[kind] = max(longest[kind], loop.time() - opened)
            if not again or loop.time() - begin > HELD_AT_MOST_S:
                return
            await asyncio.sleep(0.1)

    tasks = []
    for i, kind in enumerate(itertools.islice(itertools.cycle(kinds), count)):
        tasks.append(asyncio.create_task(hold(kind)))
        if i % 50 == 0:
            await asyncio.sleep(0.02)
    for _ in tasks:
        await connected.acquire()
    results.send("open")
    await asyncio.gather(*tasks)
    results.send(longest)


@dataclass
class WellBehaved:
    """Latencies of requests for one image, and the requests that were not answered with 200."""

    port: int
    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def measure(self, seconds: float) -> None:
        """Ask for `seconds`, with a short pause after each answer."""
        kept = HTTPConnection(HOST, self.port, timeout=30)
        end = time.monotonic() + seconds
        for i in itertools.count():
            if time.monotonic() > end:
                return
            connection = kept if i % 2 else HTTPConnection(HOST, self.port, timeout=30)
            begin = time.perf_counter()
            try:
                connection.request("GET", f"/generate?n=1&seed={i}")
                answer = connection.getresponse()
                answer.read()
                if answer.status != 200:
                    self.failures[str(answer.status)] += 1
            except (OSError, HTTPException) as error:
                connection.close()
                self.failures[type(error).__name__] += 1
            self.milliseconds.append((time.perf_counter() - begin) * 1e3)
            if connection is not kept:
                connection.close()
            time.sleep(PAUSE_S)

    def row(self, name: str, closed_after: str) -> list[str]:
        """Return the line of a table."""
        cuts = statistics.quantiles(self.milliseconds, n=100)
        count = str(len(self.milliseconds))
        failures = ", ".join(f"{n} {kind}" for kind, n in self.failures.items())
        return [name, count, failures or "0", f"{cuts[49]:.1f}", f"{cuts[98]:.1f}", closed_after]


@contextmanager
def server() -> Iterator[tuple[int, Path]]:
    """Start the service with one worker on a free port; yield the port and its log."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as output:
            command = [sys.executable, "-m", "app", "--port", "0"]
            process = subprocess.Popen(command, cwd=CHECKOUT, stdout=output, stderr=output)
        try:
            while process.poll() is None:
                if match := re.search(r"serving on http://\S+:(\d+)", log.read_text()):
                    yield int(match[1]), log
                    return
                time.sleep(0.1)
            sys.exit(f"the service did not start:\n{log.read_text()}")
        finally:
            process.terminate()
            process.wait()


def beside_attack(
    port: int, kinds: Sequence[str], count: int, *, again: bool, seconds: float
) -> tuple[WellBehaved, dict[str, float]]:
    """Measure the well-behaved client during an attack; return the longest lives of attackers."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    options = {"again": again, "results": sending}
    process = multiprocessing.get_context("spawn").Process(
        target=attack, args=(port, kinds, count), kwargs=options
    )
    process.start()
    try:
        receiving.recv()  # all are open
        client = WellBehaved(port)
        client.measure(seconds)
        longest: dict[str, float] = receiving.recv() if not again else {}
    finally:
        process.terminate()
        process.join()
    return client, longest


def main() -> None:
    """Measure the well-behaved client alone and during two attacks, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=2000, help="hostile connections")
    parser.add_argument("--seconds", type=float, default=20.0, help="time of a measurement")
    add_record_option(parser)
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if options.connections > limit - 200:
        sys.exit(f"raise the limit of open files, `ulimit -n`: it is {limit}")
    machine = read_machine()
    with server() as (port, _):
        warm = WellBehaved(port)
        warm.measure(2)
        alone = WellBehaved(port)
        alone.measure(options.seconds)
        count, seconds = options.connections, options.seconds
        held, longest = beside_attack(port, SLOW, count, again=False, seconds=min(7.0, seconds))
        pressed, _ = beside_attack(port, SLOW, count, again=True, seconds=seconds)
        _, unread = beside_attack(port, (UNREAD,), ARCHIVES, again=False, seconds=0)
        longest |= unread
    last = f"{max(longest.values()):.0f} s"
    rows = [
        alone.row("alone", ""),
        held.row(f"{count} connections are held", last),
        pressed.row(f"{count} are opened again at once", ""),
    ]
    head = ["", "requests", "not answered with 200", "p50, ms", "p99, ms", "last one closed after"]
    lives = table(["kind", "closed after, s"], [[k, f"{v:.1f}"] for k, v in longest.items()])
    text = f"{table(head, rows)}\n\n{lives}"
    print(f"{machine.summary()}\n{text}")
    if options.record:
        print(f"recorded in {record('hostile_connections', machine, text, {'lives_s': longest})}")


if __name__ == "__main__":
    main()
