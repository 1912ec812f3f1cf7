import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

import pytest

from app.server.protocol import HttpProtocol
from tests.clock import run_turning_the_clock
from tests.unit.http_server import HttpServer, echo, serving

HOST = b"Host: x\r\n"
GET = b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n"

Attempt = Callable[[HttpServer], Awaitable[Any]]


def attempt(what: Attempt, app: Any = echo, **limits: Any) -> Any:
    async def run() -> Any:
        async with serving(app, **limits) as server:
            return await what(server)

    return run_turning_the_clock(run())


def ask(sent: bytes, app: Any = echo, **limits: Any) -> bytes:
    """Everything that a server answers to these bytes on a connection of their own."""
    answer: bytes = attempt(lambda server: server.ask(sent), app, **limits)
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


async def elapsed(waiting: Awaitable[Any]) -> float:
    """Seconds that something takes on the jumping clock."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await waiting
    return loop.time() - begin


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("it did not happen in 1,000 s")


# --- bytes before a request ---


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"u" * 70_000 + b" HTTP/1.1\r\n", 414),
        (b"GET /?" + b"u=1&" * 100_000, 414),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAccept: " + b"v" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\nAccept: " + b"v" * 400_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"n" * 400_000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 12_000, 431),
        (b"\r\n" * 100_000, 431),
    ],
    ids=["url", "url-without-end", "value", "value-without-end", "name", "many", "empty-lines"],
)
def test_a_head_beyond_64_kilobytes_is_refused(sent: bytes, status: int) -> None:
    answer = ask(sent)
    assert statuses(answer) == [status]
    assert b"\r\nconnection: close\r\n" in answer
    assert b'"limit":65536' in answer


@pytest.mark.parametrize("piece", [1, 1023, 1024, 5000, 65_000])
def test_a_head_of_64_kilobytes_is_accepted_however_it_is_cut(piece: int) -> None:
    head = b"GET /" + b"u" * 30_000 + b" HTTP/1.1\r\n" + HOST + b"Accept: " + b"v" * 35_000
    head += b"\r\nConnection: close\r\n\r\n"

    async def send(server: HttpServer) -> bytes:
        client = await server.connect()
        for begin in range(0, len(head), piece):
            await client.send(head[begin : begin + piece])
        return await client.rest()

    assert statuses(attempt(send)) == [200]


@pytest.mark.parametrize(
    "trailers", [b"t: " + b"v" * 70_000 + b"\r\n", b"t: v\r\n" * 12_000, b"t: " + b"v" * 400_000]
)
def test_trailers_beyond_64_kilobytes_are_refused(trailers: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(ask(head + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n")) == [431]


def test_the_extension_of_a_chunk_may_not_be_longer_than_headers() -> None:
    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert statuses(ask(head + b"3;" + b"e" * 400_000)) == [431]


def test_trailers_do_not_become_headers() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo(scope, receive, send)
        seen.extend(scope["headers"])

    head = b"POST /a HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    request = head + b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\n\r\n"
    assert ask(request, app).endswith(b"POST /a 3")
    assert seen == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]


# --- Host, versions, other protocols ---


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Host: x\r\nHost: x\r\n",
        b"Host: x\r\nhost: y\r\n",
        b"Host: a b\r\n",
        b"Host: x/y\r\n",
        b"Host: user@x\r\n",
        b"Host: [::1\r\n",
        b"Host: x:80:80\r\n",
    ],
)
def test_a_request_without_one_valid_host_is_refused(headers: bytes) -> None:
    assert statuses(ask(b"GET /a HTTP/1.1\r\n" + headers + b"\r\n")) == [400]


@pytest.mark.parametrize("host", [b"x", b"x:8000", b"[::1]:8000", b"127.0.0.1", b"", b"a_b.c-d"])
def test_a_valid_host_is_accepted(host: bytes) -> None:
    request = b"GET /a HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
    assert statuses(ask(request)) == [200]


def test_http_1_0_needs_no_host_but_not_two() -> None:
    assert statuses(ask(b"GET /a HTTP/1.0\r\n\r\n")) == [200]
    assert statuses(ask(b"GET /a HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n")) == [400]


async def stream(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a body of unknown length."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for body in (b"one", b"", b"two"):
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body", "body": b"three"})


def test_a_client_of_http_1_0_gets_no_chunked_coding() -> None:
    answer = ask(b"GET / HTTP/1.0\r\n\r\n", stream)
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"transfer-encoding" not in head
    assert b"content-length" not in head
    assert b"connection: close" in head
    assert body == b"onetwothree"


def test_a_client_of_http_1_1_gets_chunks() -> None:
    request = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    head, body = ask(request, stream).split(b"\r\n\r\n", 1)
    assert b"transfer-encoding: chunked" in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"NOPE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http_is_answered_once_with_400(sent: bytes) -> None:
    answer = ask(sent)
    assert statuses(answer) == [400]
    assert b"application/problem+json" in answer


def test_a_client_that_offers_another_protocol_is_answered_in_this_one() -> None:
    offer = b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    last = b"GET /b HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = ask(offer + last)
    assert statuses(answer) == [200, 200]
    assert answer.endswith(b"GET /b 0")


# --- pipelining ---


def test_pipelined_requests_are_answered_in_order() -> None:
    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500)]
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = ask(b"".join(requests) + last)
    paths = re.findall(rb"GET /(\w+) 0", answer)
    assert paths == [b"%d" % number for number in range(500)] + [b"last"]


def test_few_pipelined_requests_are_parsed_before_the_first_is_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(5)
        await echo(scope, receive, send)

    async def flood(server: HttpServer) -> int:
        client = await server.connect()
        client.writer.write(GET * 100_000)
        held = 0
        for _ in range(20):
            await asyncio.sleep(1)
            (connection,) = server.table.connections
            held = max(held, len(cast(HttpProtocol, connection).pipeline))
        return held

    assert 0 < attempt(flood, app) <= 1024 / len(GET)


def test_a_client_that_pipelines_without_end_is_read_only_as_fast_as_it_is_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1)
        await echo(scope, receive, send)

    async def flood(server: HttpServer) -> int:
        client = await server.connect()
        client.writer.write(GET * 2_000_000)
        await asyncio.sleep(30)
        return len(GET) * 2_000_000 - client.writer.transport.get_write_buffer_size()

    assert attempt(flood, app) < 16_000_000  # what the buffers of the kernel and of the server hold


def test_a_bad_request_behind_a_good_one_is_refused_after_its_answer() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1)
        await echo(scope, receive, send)

    answer = ask(GET + GET + b"NOPE\r\n\r\n" + GET, app)
    assert statuses(answer) == [200, 200, 400]


# --- time ---


def test_a_connection_without_a_request_is_closed_without_an_answer() -> None:
    async def wait(server: HttpServer) -> tuple[float, bytes]:
        client = await server.connect()
        seconds = await elapsed(closed := asyncio.ensure_future(client.rest()))
        return seconds, closed.result()

    seconds, answer = attempt(wait, head_timeout_s=10.0)
    assert 10 <= seconds <= 12
    assert answer == b""


@pytest.mark.parametrize("before", [b"", GET])
def test_headers_that_drip_are_cut(before: bytes) -> None:
    async def drip(server: HttpServer) -> tuple[float, bytes]:
        client = await server.connect(before)
        if before:
            await client.answer()
        closed = asyncio.ensure_future(client.rest())
        begin = asyncio.get_running_loop().time()
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"v" * 100:
            if closed.done():
                break
            await client.send(bytes([byte]))
            await asyncio.sleep(0.5)
        return asyncio.get_running_loop().time() - begin, await closed

    seconds, answer = attempt(drip, head_timeout_s=10.0, keep_alive_timeout_s=5.0)
    assert 10 <= seconds <= 15
    assert statuses(answer) == [408]


@pytest.mark.parametrize("head", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked"])
def test_a_body_that_drips_is_cut(head: bytes) -> None:
    async def drip(server: HttpServer) -> tuple[float, bytes]:
        client = await server.connect(b"POST / HTTP/1.1\r\n" + HOST + head + b"\r\n\r\n")
        closed = asyncio.ensure_future(client.rest())
        begin = asyncio.get_running_loop().time()
        while not closed.done():
            await client.send(b"1\r\nx\r\n" if b"chunked" in head else b"x")
            await asyncio.sleep(0.1)
        return asyncio.get_running_loop().time() - begin, closed.result()

    seconds, answer = attempt(drip, min_rate=1000, rate_window_s=10.0)
    assert 10 <= seconds <= 14
    assert statuses(answer) == [408]


def test_a_body_that_stops_after_a_fast_beginning_is_cut() -> None:
    async def stop(server: HttpServer) -> float:
        client = await server.connect(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 900_000
        )
        return await elapsed(client.rest())

    assert attempt(stop, min_rate=1000, rate_window_s=10.0) <= 24


def test_a_body_at_the_lowest_rate_arrives() -> None:
    async def upload(server: HttpServer) -> tuple[int, bytes]:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n"
        client = await server.connect(head)
        for _ in range(60):
            await client.send(b"x" * 1000)
            await asyncio.sleep(0.9)
        return await client.answer()

    assert attempt(upload, min_rate=1000, rate_window_s=10.0) == (200, b"POST / 60000")


def test_a_body_that_the_app_does_not_read_is_not_its_clients_fault() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)
        await echo(scope, receive, send)

    async def upload(server: HttpServer) -> tuple[int, bytes]:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4000000\r\n\r\n"
        client = await server.connect()
        client.writer.write(head + b"x" * 4_000_000)
        return await client.answer()

    assert attempt(upload, app) == (200, b"POST / 4000000")


def test_an_idle_connection_is_closed_after_the_keep_alive_timeout() -> None:
    async def wait(server: HttpServer) -> float:
        client = await server.connect(GET)
        assert await client.answer() == (200, b"GET /a 0")
        return await elapsed(client.rest())

    assert 5 <= attempt(wait, keep_alive_timeout_s=5.0) <= 7


def test_a_connection_in_use_stays_open() -> None:
    async def use(server: HttpServer) -> int:
        client = await server.connect()
        for _ in range(20):
            await client.send(GET)
            assert await client.answer() == (200, b"GET /a 0")
            await asyncio.sleep(4)
        return len(server.table)

    assert attempt(use, keep_alive_timeout_s=5.0) == 1


def test_a_long_answer_is_waited_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1000)
        await echo(scope, receive, send)

    async def wait(server: HttpServer) -> tuple[int, bytes]:
        return await (await server.connect(GET)).answer()

    assert attempt(wait, app) == (200, b"GET /a 0")


SIZE = 30_000_000


async def large(scope: Any, receive: Any, send: Any) -> None:
    """Answer with more bytes than the buffers of the kernel hold."""
    await receive()
    headers = [(b"content-length", b"%d" % SIZE)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(SIZE)})


async def stream_large(scope: Any, receive: Any, send: Any) -> None:
    """Answer with as many bytes in chunks."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(SIZE // 100_000):
        await send({"type": "http.response.body", "body": bytes(100_000), "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("app", [large, stream_large], ids=["whole", "stream"])
@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"], ids=["kept", "closed"])
def test_an_answer_that_nobody_reads_is_cut(app: Any, last: bytes) -> None:
    async def request(server: HttpServer) -> float:
        client = await server.connect()
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await client.send(b"GET / HTTP/1.1\r\n" + HOST + last + b"\r\n")
        await until(lambda: len(server.table) == 1)
        return await elapsed(until(lambda: len(server.table) == 0))

    assert 10 <= attempt(request, app, min_rate=1000, rate_window_s=10.0) <= 24


def test_an_answer_that_is_read_slowly_but_steadily_arrives() -> None:
    async def request(server: HttpServer) -> int:
        client = await server.connect()
        await client.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        size = 0
        while size < SIZE:
            size += len(await client.reader.read(1_000_000))
            await asyncio.sleep(5)
        return size

    assert attempt(request, large, min_rate=1000, rate_window_s=10.0) == SIZE


# --- answers before the end of the request ---


async def early(scope: Any, receive: Any, send: Any) -> None:
    """Refuse a request without reading its body."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"no"})


def test_an_early_answer_arrives_although_the_client_goes_on_sending() -> None:
    async def upload(server: HttpServer) -> bytes:
        client = await server.connect()
        client.writer.write(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 20000000\r\n\r\n")
        client.writer.write(bytes(20_000_000))
        return await client.rest()

    answer = attempt(upload, early)
    assert statuses(answer) == [413]
    assert b"connection: close" in answer


def test_a_connection_with_an_unread_body_is_closed_soon() -> None:
    async def upload(server: HttpServer) -> float:
        client = await server.connect(
            b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999\r\n\r\n"
        )
        await client.answer()

        async def go_on() -> None:
            while len(server.table):
                await client.send(bytes(10_000))
                await asyncio.sleep(0.1)

        return await elapsed(go_on())

    assert attempt(upload, early) <= 5


def test_a_short_unread_body_leaves_the_connection_open() -> None:
    async def upload(server: HttpServer) -> list[tuple[int, bytes]]:
        client = await server.connect(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n")
        first = await client.answer()
        await client.send(b"x" * 9 + GET)
        return [first, await client.answer()]

    assert attempt(upload, early) == [(413, b"no"), (413, b"no")]


def test_a_client_that_waits_for_100_continue_gets_it_and_sends_its_body() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"

    async def upload(server: HttpServer) -> tuple[bytes, tuple[int, bytes]]:
        client = await server.connect(head)
        interim = await client.reader.readuntil(b"\r\n\r\n")
        await client.send(b"abc")
        return interim, await client.answer()

    assert attempt(upload) == (b"HTTP/1.1 100 Continue\r\n\r\n", (200, b"POST / 3"))


def test_a_body_that_was_not_asked_for_is_not_confused_with_the_next_request() -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\nExpect: 100-continue\r\n\r\n"
    answer = ask(head + GET, early)
    assert statuses(answer) == [413]
    assert b"connection: close" in answer


class AnsweringAtOnce(HttpProtocol):
    """Answers every request within the parser's callback, without a task."""

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._active = cycle

        async def answer() -> None:
            headers = [(b"content-length", b"4")]
            await cycle.send({"type": "http.response.start", "status": 503, "headers": headers})
            await cycle.send({"type": "http.response.body", "body": b"busy"})

        with suppress(StopIteration):
            answer().send(None)


@pytest.mark.parametrize(
    ("sent", "answers"),
    [
        (GET + GET + b"GET /a HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n" + GET * 90, 3),
        (b"GET / HTTP/1.0\r\n\r\n" + GET * 90, 1),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc" + GET + b"NOPE\r\n", 3),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 99999\r\n\r\n" + GET * 90, 1),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 1),
    ],
)
def test_answers_within_the_parser_keep_the_order_and_close(sent: bytes, answers: int) -> None:
    async def ask_and_leave(server: HttpServer) -> tuple[float, bytes]:
        client = await server.connect(sent)
        answer = await client.rest()
        return await elapsed(until(lambda: len(server.table) == 0)), answer

    timeouts = {"keep_alive_timeout_s": 90.0, "head_timeout_s": 90.0}
    seconds, answer = attempt(ask_and_leave, protocol=AnsweringAtOnce, **timeouts)
    assert seconds <= 5
    assert len(statuses(answer)) == answers
    assert answer.count(b"connection: close") == 1


# --- how many ---


def test_the_idlest_connection_makes_room_for_a_new_one() -> None:
    async def fill(server: HttpServer) -> tuple[bytes, list[tuple[int, bytes]]]:
        silent = [await server.connect() for _ in range(5)]
        late = await server.connect(GET)
        answers = [await late.answer()]
        first = await silent[0].rest()
        await silent[1].send(GET)
        answers.append(await silent[1].answer())
        return first, answers

    first, answers = attempt(fill, connections=5)
    assert first == b""
    assert answers == [(200, b"GET /a 0")] * 2


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
        GET,
        b"NOPE\r\n\r\n",
    ],
    ids=["silent", "head", "body", "chunks", "kept-alive", "refused"],
)
def test_connections_that_wait_for_their_client_lock_nobody_out(sent: bytes) -> None:
    async def fill(server: HttpServer) -> list[int]:
        for _ in range(50):
            await server.connect(sent)
            assert len(server.table) <= 5
        return [(await (await server.connect(GET)).answer())[0] for _ in range(50)]

    assert attempt(fill, connections=5) == [200] * 50


def test_connections_whose_client_does_not_read_lock_nobody_out() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (large if scope["path"] == "/large" else echo)(scope, receive, send)

    async def fill(server: HttpServer) -> tuple[int, bytes]:
        for _ in range(5):
            client = await server.connect()
            client.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await client.send(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: len(server.table.stalled) == 5)
        return await (await server.connect(GET)).answer()

    assert attempt(fill, app, connections=5) == (200, b"GET /a 0")


def test_a_new_connection_is_refused_while_all_others_are_being_answered() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1000)
        await echo(scope, receive, send)

    async def fill(server: HttpServer) -> tuple[list[bytes], list[int]]:
        busy = [await server.connect(GET) for _ in range(5)]
        await asyncio.sleep(1)
        refused = [await server.ask(GET) for _ in range(20)]
        return refused, [(await client.answer())[0] for client in busy]

    refused, answered = attempt(fill, app, connections=5, retry_after_s=7)
    assert [statuses(answer) for answer in refused] == [[503]] * 20
    assert all(b"\r\nretry-after: 7\r\n" in answer for answer in refused)
    assert answered == [200] * 5


def test_the_largest_bodies_are_dropped_if_all_together_are_too_large() -> None:
    async def hold(server: HttpServer) -> tuple[int, tuple[int, bytes]]:
        head = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1000001\r\n\r\n"
        for _ in range(20):
            await server.connect(head + bytes(1_000_000))
        small = await server.connect(head + bytes(900_000))
        await asyncio.sleep(3)
        left = len(server.table)
        await small.send(bytes(100_001))
        return left, await small.answer()

    limits = {"held_bytes": 10_000_000, "rate_window_s": 100.0}
    left, answer = attempt(hold, **limits)
    assert left == 10
    assert answer == (200, b"POST / 1000001")


def test_every_refusal_is_reported_once() -> None:
    async def refuse(server: HttpServer) -> list[str]:
        await server.ask(b"NOPE\r\n\r\n" * 100)
        await server.ask(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 100_000)
        return [kind.slug for kind in server.refusals]

    assert attempt(refuse) == ["malformed-request", "headers-too-large"]


# --- what apps may send ---


def test_an_app_that_ends_without_an_answer_is_answered_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        """Do nothing."""

    answer = ask(GET, app)
    assert statuses(answer) == [500]
    assert b"\r\nx-content-type-options: nosniff\r\n" in answer


def test_an_app_cannot_send_more_or_less_than_it_states() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bytes(int(scope["path"][1:]))})

    for size, sent in ((4, 4), (5, 5), (6, 0)):
        request = b"GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % size
        assert ask(request, app).partition(b"\r\n\r\n")[2] == bytes(sent)


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: x", b"a\nb", b"a\x00b"])
def test_a_header_cannot_be_ended_by_its_value(value: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"x-echo", value)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    answer = ask(GET, app)
    assert b"Set-Cookie" not in answer
