"""Refusals of an overloaded service: early, complete, and the same from protocol, app and engine."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.inference.engine import Engine
from app.server.connections import ConnectionLimits, ConnectionTable
from app.server.protocol import HttpProtocol
from app.settings import Settings
from tests.api.service import Service, problem, started

HEADERS = b"host: localhost\r\n"


@pytest.fixture
def overloaded(store: Path) -> Iterator[Service]:
    """Start a service with one waiting request, in which any further one would wait too long."""
    settings = Settings(store=store, target_wait_s=1e-9, retry_after_s=2, log_requests=False)
    with started(settings) as service:
        etag = service.get("/generate?seed=7").headers["etag"]
        engine: Engine = service.app.state.services.engine
        engine.pause()
        waiting = service.portal.start_task_soon(service.client.get, "/generate?seed=1")
        while engine.waiting_images == 0:
            time.sleep(0.001)
        problem(service.get("/generate"), 503, "queue-full")
        assert engine.overloaded
        service.app.state.etag = etag
        yield service
        service.portal.call(engine.resume)
        assert waiting.result().status_code == 200


def test_a_refusal_names_target_and_remedy_and_when_to_try_again(overloaded: Service) -> None:
    answer = overloaded.get("/generate?n=4")
    refusal = problem(answer, 503, "queue-full")
    assert refusal["instance"] == "/generate"
    assert refusal["limit"] == 1e-9
    assert "Retry-After" in refusal["remedy"]
    assert answer.headers["retry-after"] == "2"


def test_the_early_refusal_has_the_headers_and_fields_of_the_engines(overloaded: Service) -> None:
    early = overloaded.get("/generate")
    late = overloaded.get("/generate", headers={"If-None-Match": '"other"'})
    assert problem(early, 503, "queue-full").keys() == problem(late, 503, "queue-full").keys()
    assert early.headers.keys() == late.headers.keys()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reconstruct"),
        ("POST", "/encode?model=mnist@1"),
        ("POST", "/decode?model=mnist"),
        ("POST", "/augment?n=3"),
        ("POST", "/interpolate?steps=4"),
        ("POST", "/traverse?steps=99999"),
        ("POST", "/v2/models/mnist/infer"),
        ("POST", "/v2/models/mnist/versions/1/infer"),
    ],
)
def test_requests_are_refused_before_their_body_is_read(
    overloaded: Service, method: str, path: str
) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"content-type", b"image/png"), (b"content-length", b"9")],
        "client": ("192.0.2.1", 1),
    }
    overloaded.portal.call(overloaded.app, scope, receive, send)
    start, body = sent
    assert start["status"] == 503
    assert (b"retry-after", b"2") in start["headers"]
    expected = b'{"error":"' if path.startswith("/v2") else b'{"type":"/problems/queue-full"'
    assert body["body"].startswith(expected)


def test_what_needs_no_computation_is_answered(overloaded: Service) -> None:
    assert overloaded.get("/healthz").status_code == 200
    assert overloaded.get("/readyz").status_code == 200
    assert overloaded.get("/models").status_code == 200
    tag = overloaded.app.state.etag
    not_modified = overloaded.get("/generate?seed=7", headers={"If-None-Match": tag})
    assert not_modified.status_code == 304


def test_requests_for_models_that_are_not_loaded_are_answered_as_ever(overloaded: Service) -> None:
    problem(overloaded.get("/generate?model=nothing"), 404, "model-not-found")
    problem(overloaded.get("/generate?model=a/b"), 422, "invalid-reference")


def test_head_is_refused_without_a_body(overloaded: Service) -> None:
    answer = overloaded.request("HEAD", "/generate")
    assert (answer.status_code, answer.content) == (503, b"")
    assert int(answer.headers["content-length"]) > 0


def test_refusals_are_counted_by_path_and_reason(overloaded: Service) -> None:
    overloaded.post("/v2/models/mnist/versions/1/infer")
    talk(overloaded, b"GET /generate HTTP/1.1\r\n" + HEADERS + b"\r\n")
    text = overloaded.get("/metrics").text
    assert 'zserve_rejects_total{reason="queue-full"} 3.0' in text
    assert 'zserve_requests_total{method="GET",path="/generate",status="503"} 2.0' in text
    path = "/v2/models/{name}/versions/{version}/infer"
    assert f'zserve_requests_total{{method="POST",path="{path}",status="503"}} 1.0' in text


# --- the protocol ---


class Transport(asyncio.Transport):
    """Collects what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def write_eof(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def talk(service: Service, *pieces: bytes) -> Transport:
    """Send bytes on one connection to the app, whose tasks get no time to run."""

    async def run() -> Transport:
        state = ServerState()
        state.default_headers = [(b"date", b"today")]
        table = ConnectionTable(ConnectionLimits.of(Settings()))
        protocol = HttpProtocol(table, Config(service.app, lifespan="off"), state, {})
        transport = Transport()
        protocol.connection_made(transport)
        for piece in pieces:
            protocol.data_received(piece)
        assert state.total_requests == len(transport.writes)
        for task in state.tasks:
            task.cancel()
        protocol.connection_lost(ConnectionResetError())
        return transport

    return service.portal.call(run)


def answers(transport: Transport) -> list[httpx.Response]:
    """Parse the answers, each of which must be one write."""
    parsed = []
    for data in transport.writes:
        head, _, body = data.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        parsed.append(httpx.Response(int(status.split()[1]), headers=headers, content=body))
    return parsed


def test_the_protocol_answers_as_the_app_does(overloaded: Service) -> None:
    request = b"GET /generate?n=4 HTTP/1.1\r\n" + HEADERS + b"x-request-id: order-66\r\n\r\n"
    (answer,) = answers(talk(overloaded, request))
    of_app = overloaded.get("/generate?n=4", headers={"X-Request-ID": "order-66"})
    assert answer.json() == of_app.json()
    assert {*answer.headers.items()} == {*of_app.headers.items(), ("date", "today")}


def test_the_connection_goes_on_after_a_refusal_also_past_a_body(overloaded: Service) -> None:
    upload = b"POST /reconstruct HTTP/1.1\r\n" + HEADERS + b"content-length: 9\r\n\r\n"
    plain = b"GET /generate HTTP/1.1\r\n" + HEADERS + b"\r\n"
    transport = talk(overloaded, upload, b"123456789", plain, plain + plain)
    assert [answer.status_code for answer in answers(transport)] == [503] * 4
    assert not transport.closed


@pytest.mark.parametrize(
    "head", [b"GET /generate HTTP/1.0\r\n", b"GET /generate HTTP/1.1\r\nconnection: close\r\n"]
)
def test_the_connection_is_closed_after_a_refusal_if_the_client_asks_for_it(
    overloaded: Service, head: bytes
) -> None:
    transport = talk(overloaded, head + HEADERS + b"\r\n")
    (answer,) = answers(transport)
    assert answer.headers["connection"] == "close"
    assert transport.closed


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz HTTP/1.1\r\n",
        b"GET /generate?model=nothing HTTP/1.1\r\n",
        b'GET /generate HTTP/1.1\r\nif-none-match: "a"\r\n',
        b"GET /generate HTTP/1.1\r\nx-forwarded-for: 192.0.2.7\r\n",
        b"GET /generate HTTP/1.1\r\ntraceparent: 00-1-1-01\r\n",
    ],
)
def test_the_protocol_leaves_other_requests_to_the_app(overloaded: Service, head: bytes) -> None:
    assert talk(overloaded, head + HEADERS + b"\r\n").writes == []


def test_a_service_that_is_not_overloaded_asks_nothing(store: Path) -> None:
    with started(Settings(store=store)) as service:
        gate = service.app.state.gate
        assert not gate.overloaded
        assert talk(service, b"GET /generate HTTP/1.1\r\n" + HEADERS + b"\r\n").writes == []
