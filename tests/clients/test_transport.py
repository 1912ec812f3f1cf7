"""Both transports, with scripted answers and a clock that only their sleep advances."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import Answer, Script
from zserve_client import NoAnswerError, ServerError, UnavailableError, ZserveError
from zserve_client._async_transport import AsyncTransport
from zserve_client._requests import READY, Request, post
from zserve_client._responses import Reply
from zserve_client._retry import RetryPolicy
from zserve_client._steps import Steps
from zserve_client._transport import Transport

PNG: Answer = (200, {"X-Model": "mnist@1"}, b"an image")
GENERATE = post("/generate", {"n": 1})


def busy(retry_after: str | None = None, status: int = 503) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return (status, headers, b'{"type": "/problems/queue-full", "detail": "the queue is full"}')


@dataclass
class Wire:
    """Sends scripted answers through one of the transports, and records requests and waits."""

    kind: str
    answers: list[Answer | httpx.HTTPError] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    retries: int = 3
    url: str = "http://test"
    network: bool = False

    def call(self, name: str, *arguments: Any) -> Any:
        options: dict[str, Any] = {
            "policy": RetryPolicy(self.retries, 30, jitter=lambda _low, high: high),
            "http": None if self.network else httpx.MockTransport(self._answer),
            "clock": lambda: sum(self.waits),
        }
        if self.kind == "sync":
            transport = Transport(self.url, sleep=self.waits.append, **options)
            try:
                return getattr(transport, name)(*arguments)
            finally:
                transport.close()

        async def call() -> Any:
            transport = AsyncTransport(self.url, sleep=self._sleep, **options)
            try:
                return await getattr(transport, name)(*arguments)
            finally:
                await transport.close()

        return asyncio.run(call())

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.HTTPError):
            raise answer
        status, headers, content = answer
        return httpx.Response(status, headers=headers, content=content)


@pytest.fixture(params=["sync", "async"])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


@pytest.mark.parametrize("status", [429, 503])
def test_a_request_is_repeated_after_the_time_that_a_busy_service_asks_for(wire: Wire, status: int):
    wire.answers = [busy("7", status), busy("2", status), PNG]
    assert wire.call("send", GENERATE).content == b"an image"
    assert wire.waits == [7, 2]
    assert [str(request.url) for request in wire.requests] == 3 * ["http://test/generate?n=1"]


def test_a_request_is_repeated_after_a_broken_connection(wire: Wire):
    wire.answers = [httpx.ConnectError("refused"), httpx.RemoteProtocolError("closed"), PNG]
    assert wire.call("send", GENERATE).content == b"an image"
    assert wire.waits == [0.25, 0.5]


def test_the_last_problem_is_raised_after_all_retries(wire: Wire):
    wire.answers, wire.retries = [busy("0")], 2
    with pytest.raises(UnavailableError, match="queue is full") as caught:
        wire.call("send", GENERATE)
    assert len(wire.requests) == 3
    assert caught.value.retry_after_s == 0


def test_a_longer_wait_than_allowed_is_left_to_the_caller(wire: Wire):
    wire.answers = [busy("3600")]
    with pytest.raises(UnavailableError) as caught:
        wire.call("send", GENERATE)
    assert (len(wire.requests), wire.waits) == (1, [])
    assert caught.value.retry_after_s == 3600


@pytest.mark.parametrize("status", [400, 404, 422, 500, 502])
def test_other_problems_are_raised_at_once(wire: Wire, status: int):
    wire.answers = [(status, {"Retry-After": "0"}, b"")]
    with pytest.raises(ZserveError):
        wire.call("send", GENERATE)
    assert len(wire.requests) == 1


def test_a_slow_answer_is_not_requested_again(wire: Wire):
    wire.answers = [httpx.ReadTimeout("")]
    with pytest.raises(NoAnswerError, match="http://test did not answer in time"):
        wire.call("send", GENERATE)
    assert len(wire.requests) == 1


def test_a_failed_connection_is_one_line_with_its_reason(wire: Wire):
    wire.answers, wire.retries = [httpx.ConnectError("refused")], 0
    with pytest.raises(NoAnswerError, match=r"no answer from http://test \(refused\); is the"):
        wire.call("send", GENERATE)


def test_a_health_request_is_sent_once(wire: Wire):
    wire.answers = [busy("0")]
    with pytest.raises(UnavailableError):
        wire.call("send", READY)
    assert len(wire.requests) == 1


def test_polling_ends_with_the_first_success(wire: Wire):
    wire.answers = [busy("9"), httpx.ConnectError("refused"), (200, {}, b"{}")]
    assert wire.call("poll", READY, 60).status == 200
    assert wire.waits == [0.25, 0.25]


def test_polling_ends_after_the_timeout_with_the_last_error(wire: Wire):
    wire.answers = [busy(), httpx.ConnectError("refused")]
    with pytest.raises(NoAnswerError, match="refused"):
        wire.call("poll", READY, 1.0)
    assert sum(wire.waits) == 1.0


def test_polling_does_not_repeat_a_refusal_that_time_cannot_change(wire: Wire):
    wire.answers = [(500, {}, b"")]
    with pytest.raises(ServerError):
        wire.call("poll", READY, 60)
    assert wire.waits == []


def test_a_body_is_saved_to_a_file_and_an_error_is_not(wire: Wire, tmp_path: Path):
    path = tmp_path / "one.png"
    request = Request(method="POST", path="/generate", save_to=path)
    wire.answers = [(404, {}, b"{}"), PNG]
    assert wire.call("exchange", request).content == b"{}"
    assert not path.exists()
    assert wire.call("exchange", request).content == b""
    assert path.read_bytes() == b"an image"


def test_a_download_that_was_cut_starts_again(wire: Wire, scripted: Script, tmp_path: Path):
    # The server closes the connection before it has sent as many bytes as it announced.
    cut: Answer = (200, {"Content-Length": "1000", "Connection": "close"}, b"an im")
    scripted.answers = [cut, PNG]
    wire.url, wire.network, path = scripted.url, True, tmp_path / "one.png"
    wire.call("send", Request(method="POST", path="/generate", save_to=path))
    assert path.read_bytes() == b"an image"
    assert len(scripted.paths) == 2


def test_a_large_download_does_not_pass_through_memory(
    wire: Wire, scripted: Script, tmp_path: Path
):
    size = 32 * 1024 * 1024
    scripted.answers = [(200, {}, bytes(size))]
    wire.url, wire.network, path = scripted.url, True, tmp_path / "large.zip"
    tracemalloc.start()
    try:
        wire.call("send", Request(method="POST", path="/generate", save_to=path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == size
    assert peak < size / 8


def two_requests(events: list[object]) -> Steps[str]:
    try:
        first = yield GENERATE
        second = yield READY
        return (first.content + second.content).decode()
    finally:
        events.append("closed")


def test_an_operation_sends_its_requests_in_order_and_returns_its_result(wire: Wire):
    events: list[object] = []
    wire.answers = [(200, {}, b"a"), busy("0"), (200, {}, b"c")]
    # The second request is READY, which is never repeated: the operation gets the error itself.
    assert wire.call("run", two_requests(events)).startswith("a{")
    assert events == ["closed"]


def test_an_operation_is_closed_when_its_connection_fails(wire: Wire):
    events: list[object] = []
    wire.answers, wire.retries = [PNG, httpx.ConnectError("refused")], 0
    steps = two_requests(events)
    with pytest.raises(NoAnswerError):
        wire.call("run", steps)
    assert events == ["closed"]


def test_the_asynchronous_transport_runs_other_tasks_while_it_waits():
    """`sleep` is awaited: a second task runs before the repetition."""
    events: list[str] = []

    async def main() -> Reply:
        async def sleep(_seconds: float) -> None:
            await asyncio.sleep(0)

        def answer(_request: httpx.Request) -> httpx.Response:
            events.append("request")
            return httpx.Response(503 if len(events) == 1 else 200)

        async def other() -> None:
            events.append("other task")

        http = httpx.MockTransport(answer)
        transport = AsyncTransport("http://test", policy=RetryPolicy(), http=http, sleep=sleep)
        request: Callable[[Request], Awaitable[Reply]] = transport.send
        reply, _ = await asyncio.gather(request(GENERATE), other())
        await transport.close()
        return reply

    assert asyncio.run(main()).status == 200
    assert events.index("other task") < len(events) - 1
