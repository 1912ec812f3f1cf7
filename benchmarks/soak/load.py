"""Send requests at a fixed rate over kept-alive connections, and let some clients leave."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field

HOST = "127.0.0.1"
TIMEOUT_S = 60.0
CONNECTIONS = 64
"""Maximum number of requests in progress; more are counted as late and not sent."""
LEAVES_EVERY = 20
"""One in this many clients closes its connection before the answer."""


@dataclass
class Outcome:
    """Answers and failures of the requests.

    Attributes:
        statuses: Status -> number of answers; 0 counts requests whose connection broke.
        replaced: Number of idle connections that had been closed when they were used again.
        left: Number of clients that left on purpose.
        late: Number of requests that were not sent, because too many were in progress.
        seconds: Time of each answer with status 200, in seconds.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    replaced: int = 0
    left: int = 0
    late: int = 0
    seconds: list[float] = field(default_factory=list)


class Load:
    """Clients of one server."""

    def __init__(self, port: int) -> None:
        self.outcome = Outcome()
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._seeds = itertools.count()

    async def capacity(self, seconds: float) -> float:
        """Return how many requests a second 16 clients get answered that always wait for one."""
        begin = time.monotonic()

        async def client() -> None:
            while time.monotonic() < begin + seconds:
                await self._ask()

        await asyncio.gather(*(client() for _ in range(16)))
        answered = self.outcome.statuses[200]
        self.outcome = Outcome()
        return answered / (time.monotonic() - begin)

    async def run(self, rate: float, seconds: float) -> None:
        """Send `rate` requests a second, whether or not answers come."""
        begin = time.monotonic()
        for i in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin + i / rate - time.monotonic()))
            if len(self._tasks) >= CONNECTIONS:
                self.outcome.late += 1
                continue
            leaves = i % LEAVES_EVERY == 0
            task = asyncio.create_task(self._leave() if leaves else self._ask())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Close the idle connections."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _ask(self) -> None:
        """Send one request, and count its answer."""
        begin = time.monotonic()
        try:
            status = await asyncio.wait_for(self._exchange_once_or_twice(), TIMEOUT_S)
        except (OSError, EOFError, TimeoutError):
            status = 0
        self.outcome.statuses[status] += 1
        if status == 200:
            self.outcome.seconds.append(time.monotonic() - begin)

    async def _leave(self) -> None:
        """Ask for many images, and close the connection at once."""
        self.outcome.left += 1
        with contextlib.suppress(OSError):
            _, writer = await self._connect()
            writer.write(self._request(n=64))
            await writer.drain()
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self._port)

    async def _exchange_once_or_twice(self) -> int:
        """Return the status of an answer.

        An idle connection that its worker closed is replaced by a new one, as HTTP clients do.
        """
        if self._idle:
            try:
                return await self._exchange(*self._idle.pop())
            except (OSError, EOFError):
                self.outcome.replaced += 1
        return await self._exchange(*await self._connect())

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        """Send a request, read the whole answer, keep the connection; return the status."""
        try:
            writer.write(self._request(n=1))
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            await reader.readexactly(length)
        except BaseException:
            writer.close()
            raise
        if b"connection: close" in head.lower():
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    def _request(self, n: int) -> bytes:
        seed = next(self._seeds) * 64 % 2**32
        return (
            b"POST /generate?n=%d&seed=%d HTTP/1.1\r\nHost: soak\r\nContent-Length: 0\r\n\r\n"
            % (
                n,
                seed,
            )
        )
