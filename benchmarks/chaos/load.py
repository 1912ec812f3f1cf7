"""Clients that put load on a service and tell apart which requests were lost.

A request is lost if at least one byte of it was sent, and no whole answer came back. A client that
cannot connect has lost nothing, and one that finds its connection closed before it sends the next
request connects again, as HTTP libraries do.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Kind = Literal["kept-alive", "slow", "fresh", "upload", "stream"]

_REQUESTS: dict[Kind, bytes] = {
    "kept-alive": b"GET /generate?n=1&seed=7 HTTP/1.1\r\nHost: zserve\r\n\r\n",
    "slow": b"GET /generate?n=1&seed=8 HTTP/1.1\r\nHost: zserve\r\n\r\n",
    "fresh": b"GET /generate?n=2&seed=9 HTTP/1.1\r\nHost: zserve\r\nConnection: close\r\n\r\n",
    "upload": b"POST /decode HTTP/1.1\r\nHost: zserve\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b",
    "stream": b"GET /generate?n=100&seed=7&format=zip HTTP/1.1\r\nHost: zserve\r\n\r\n",
}
_PAUSES: dict[Kind, float] = {"slow": 1.5, "stream": 0.1}
"""Longest pause (s) before the next request, for clients that pause."""
_PAUSE_AFTER_REFUSAL_S = 0.2
_TIMEOUT_S = 60.0

OVERLOADED = "/problems/queue-full"
"""Refusals of a busy service, which are no loss: the machine is slow."""


@dataclass(frozen=True)
class Lost:
    """A request without a whole answer."""

    kind: Kind
    port: int
    """Port of the client's end of the connection."""
    reason: str


@dataclass
class Outcome:
    """Numbers of answered, lost and unconnected requests.

    Attributes:
        answers: Number of whole answers, by status, or by type of problem if they are refusals.
        lost: Requests without a whole answer.
        unconnected: Number of refused connections.
    """

    answers: Counter[str] = field(default_factory=Counter)
    lost: list[Lost] = field(default_factory=list)
    unconnected: int = 0

    @property
    def answered(self) -> int:
        """Number of answers with status 200."""
        return self.answers["200"]

    @property
    def failed(self) -> dict[str, int]:
        """Number of answers that a service with enough time would not have given, by kind."""
        return {kind: n for kind, n in self.answers.items() if kind not in {"200", OVERLOADED}}

    def add(self, other: "Outcome") -> None:
        """Add the numbers of another load."""
        self.answers += other.answers
        self.lost += other.lost
        self.unconnected += other.unconnected


class Load:
    """Clients of several kinds, which run until `stop` is called."""

    def __init__(self, url: str, clients: dict[Kind, int], latent: int = 32) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self._clients = [kind for kind, count in clients.items() for _ in range(count)]
        body = b'{"z": [[%b]]}' % b", ".join([b"0.5"] * latent)
        self._requests = _REQUESTS | {"upload": _REQUESTS["upload"] % (len(body), body)}
        self._stopped = asyncio.Event()
        self.outcome = Outcome()

    async def run(self) -> Outcome:
        """Put load on the service; each client ends after the request that it has begun."""
        await asyncio.gather(*map(self._client, self._clients))
        return self.outcome

    def stop(self) -> None:
        """Begin no more requests."""
        self._stopped.set()

    async def during(self, work: Callable[[], Awaitable[None]]) -> Outcome:
        """Put load on the service while `work` runs."""
        load = asyncio.create_task(self.run())
        try:
            await work()
        finally:
            self.stop()
            await load
        return self.outcome

    async def _client(self, kind: Kind) -> None:
        while not self._stopped.is_set():
            try:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            except OSError:
                self.outcome.unconnected += 1
                await self._pause(0.05)
                continue
            try:
                await self._use(kind, reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _use(
        self, kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send one request after another over a connection, as long as it is open."""
        port: int = writer.get_extra_info("sockname")[1]
        while not self._stopped.is_set():
            for _ in range(2):  # let the event loop notice that the connection has ended
                await asyncio.sleep(0)
            if reader.at_eof() or writer.is_closing() or reader.exception() is not None:
                return
            writer.write(self._requests[kind])
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    answer, open_ = await _read_answer(reader)
            except (OSError, EOFError, TimeoutError) as error:
                self.outcome.lost.append(Lost(kind, port, type(error).__name__))
                return
            self.outcome.answers[answer] += 1
            if answer != "200":
                await self._pause(_PAUSE_AFTER_REFUSAL_S)
            if not open_ or kind == "fresh":
                return
            if kind in _PAUSES:
                await self._pause(random.uniform(0.0, _PAUSES[kind]))  # noqa: S311 - no secret

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()


async def _read_answer(reader: asyncio.StreamReader) -> tuple[str, bool]:
    """Return the kind of an answer, and whether its connection stays open.

    Raises EOFError or OSError if the connection ends before the answer does.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    lines = head.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines[1:] if line)
    kind = lines[0].split()[1].decode()
    if headers.get(b"transfer-encoding") == b"chunked":
        size = -1
        while size != 0:
            size = int((await reader.readuntil(b"\r\n")).strip(), 16)
            await reader.readexactly(size + 2)
    else:
        body = await reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"content-type") == b"application/problem+json":
            kind = json.loads(body)["type"]
    return kind, headers.get(b"connection") != b"close"
