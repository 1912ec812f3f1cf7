"""The stop of a server with the service's HTTP protocol, on a clock that jumps."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.server.draining import IDLE_S, Drain, shed
from app.server.silence import end_if_silent
from app.stopping import Stopping
from tests.unit.http_server import HttpServer, echo
from tests.unit.test_http_protocol import GET, attempt, elapsed, statuses

PATIENCE_S = 30.0
CLOSE = b"\r\nconnection: close\r\n"
UPLOAD = b"POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"


def drain(server: HttpServer, patience_s: float = PATIENCE_S) -> "asyncio.Task[None]":
    return asyncio.create_task(Drain(server.server, (), Stopping()).run(patience_s))


def slow(seconds: float) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """Return an app that answers after some time."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(seconds)
        await echo(scope, receive, send)

    return app


async def endless(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
            await asyncio.sleep(1.0)


def test_a_server_without_connections_stops_at_once() -> None:
    async def stop(server: HttpServer) -> float:
        return await elapsed(drain(server))

    assert attempt(stop) < 1.0


def test_a_request_that_comes_during_the_stop_is_answered_and_is_the_last() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(GET)
        await client.answer()
        stopping = drain(server)
        await asyncio.sleep(0.5)
        await client.send(GET)
        answer = await client.rest()
        await stopping
        return answer

    answer = attempt(stop)
    assert statuses(answer) == [200]
    assert CLOSE in answer


def test_a_request_that_is_being_answered_announces_the_end() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(GET)
        await asyncio.sleep(0.1)
        stopping = drain(server)
        answer = await client.rest()
        await stopping
        return answer

    answer = attempt(stop, slow(5.0))
    assert statuses(answer) == [200]
    assert CLOSE in answer


def test_pipelined_requests_that_have_arrived_are_all_answered() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(GET * 5)
        await asyncio.sleep(0.1)
        stopping = drain(server)
        answer = await client.rest()
        await stopping
        return answer

    answer = attempt(stop, slow(1.0))
    assert statuses(answer) == [200] * 5
    assert answer.count(CLOSE) == 1


def test_a_body_that_arrives_during_the_stop_is_read() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(UPLOAD + b"12")
        stopping = drain(server)
        await asyncio.sleep(3.0)
        await client.send(b"345")
        answer = await client.rest()
        await stopping
        return answer

    assert attempt(stop).endswith(b"POST /up 5")


def test_headers_that_arrive_during_the_stop_are_waited_for() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(GET[:20])
        stopping = drain(server)
        await asyncio.sleep(3 * IDLE_S)
        await client.send(GET[20:])
        answer = await client.rest()
        await stopping
        return answer

    assert statuses(attempt(stop)) == [200]


@pytest.mark.parametrize("sent", [b"", GET])
def test_an_idle_connection_is_closed_after_a_while(sent: bytes) -> None:
    async def stop(server: HttpServer) -> float:
        client = await server.connect(sent)
        if sent:
            await client.answer()
        await asyncio.sleep(0.1)
        stopping = drain(server)
        seconds = await elapsed(client.rest())
        await stopping
        return seconds

    assert IDLE_S <= attempt(stop) < 2 * IDLE_S + 1.0


def test_a_connection_whose_request_has_arrived_unread_is_not_closed() -> None:
    async def stop(server: HttpServer) -> bytes:
        client = await server.connect(GET)
        await client.answer()
        (connection,) = server.server.server_state.connections
        transport: Any = connection.transport
        transport.pause_reading()
        await client.send(GET)
        assert not end_if_silent(transport)
        transport.resume_reading()
        status, _ = await client.answer()
        assert status == 200
        assert end_if_silent(transport)
        return await client.rest()

    assert attempt(stop) == b""


def test_after_the_patience_a_stream_ends_without_its_last_chunk() -> None:
    async def stop(server: HttpServer) -> tuple[float, bytes]:
        client = await server.connect(GET)
        await asyncio.sleep(0.1)
        seconds = await elapsed(drain(server, patience_s=7.0))
        return seconds, await client.rest()

    seconds, answer = attempt(stop, endless)
    assert 7.0 <= seconds < 9.0
    assert statuses(answer) == [200]
    assert answer.endswith(b"4\r\nmore\r\n")


def test_a_forced_exit_does_not_wait() -> None:
    async def stop(server: HttpServer) -> float:
        await server.connect(GET)
        await asyncio.sleep(0.1)
        stopping = drain(server)
        await asyncio.sleep(1.0)
        server.server.force_exit = True
        return await elapsed(stopping)

    assert attempt(stop, endless) < 2.0


def test_a_worker_sheds_a_part_of_its_connections_whether_they_are_idle_or_not() -> None:
    async def ask_twice(server: HttpServer) -> int:
        clients = [await server.connect(GET) for _ in range(6)]
        for client in clients:
            await client.answer()
        shed(server.server.server_state, every=2)
        heads = []
        for client in clients:
            await client.send(GET)
            heads.append(await client.reader.readuntil(b"\r\n\r\n"))
            await client.reader.readexactly(len(b"GET /a 0"))
        fresh = await server.connect(GET)
        assert CLOSE not in await fresh.reader.readuntil(b"\r\n\r\n")
        return sum(CLOSE in head for head in heads)

    assert attempt(ask_twice) == 3
