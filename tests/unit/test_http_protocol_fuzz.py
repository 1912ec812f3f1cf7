"""Mutated requests in arbitrary pieces: the protocol never fails, and always closes in the end."""

import asyncio
import random
import re
from typing import Any

import pytest

from tests.clock import run_turning_the_clock
from tests.unit.http_server import HttpServer, echo, serving

PARTS = (
    b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /b HTTP/1.0\r\n\r\n",
    b"HEAD /c HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /d HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde",
    b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: v\r\n\r\n",
    b"POST /f HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nxy",
    b"GET /g HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /h HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n",
    b"POST /i HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n",
    b"A: " + b"v" * 70_000,
    b"x" * 3000,
)


def mutated(choice: random.Random) -> bytes:
    """A few requests after one another, with some bytes changed, removed or repeated."""
    data = bytearray(b"".join(choice.choices(PARTS, k=choice.randint(1, 12))))
    for _ in range(choice.choice((0, 0, 1, 1, 2, 5))):
        place = choice.randrange(len(data) + 1)
        match choice.randrange(4):
            case 0 if place < len(data):
                data[place] = choice.randrange(256)
            case 1:
                del data[place : place + choice.randint(1, 20)]
            case 2:
                data[place:place] = choice.randbytes(choice.randint(1, 5))
            case _:
                data[place:place] = data[max(0, place - choice.randint(1, 50)) : place]
        data = data or bytearray(b"x")
    return bytes(data)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer late, early, in pieces, or not at all, as the path says."""
    path = scope["path"].encode()
    if len(path) % 2:
        await asyncio.sleep(path[-1] % 5)
    if path == b"/a":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})
    elif path == b"/i":
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"no"})
    else:
        await echo(scope, receive, send)


async def send_pieces(server: HttpServer, data: bytes, choice: random.Random) -> bytes:
    client = await server.connect()
    answer = asyncio.ensure_future(client.rest())
    while data:
        size = choice.choice((1, 7, 100, 1024, 5000, 100_000))
        await client.send(data[:size])
        data = data[size:]
        if choice.random() < 0.2:
            await asyncio.sleep(choice.random() * 3)
        if choice.random() < 0.01:
            client.writer.transport.abort()
    return await answer


def failures_of(seed: int) -> list[dict[str, Any]]:
    """Send one input; return what the event loop reports, beside what the app raises."""
    failures: list[dict[str, Any]] = []

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
        choice = random.Random(seed)
        limits: dict[str, Any] = {"connections": choice.choice((1, 2, 100)), "held_bytes": 100_000}
        async with serving(app, **limits) as server:
            inputs = [mutated(choice) for _ in range(choice.randint(1, 3))]
            answers = await asyncio.gather(*(send_pieces(server, i, choice) for i in inputs))
        for answer in answers:
            assert answer == b"" or re.match(rb"HTTP/1\.1 \d\d\d ", answer)

    run_turning_the_clock(run())
    return failures


@pytest.mark.parametrize("block", range(10))
def test_no_input_breaks_the_protocol(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        assert failures_of(seed) == [], f"seed {seed}"
