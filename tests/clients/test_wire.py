"""Busy services, broken connections, and answers that are not zserve's."""

import asyncio
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.errors import INTERNAL, PROBLEMS, VALIDATION
from tests.clients.conftest import Scripted
from zserve_client import (
    AsyncClient,
    Client,
    ForbiddenError,
    InvalidRequestError,
    NoAnswerError,
    ServerError,
    TooLargeError,
    UnavailableError,
    UnexpectedAnswerError,
    ZserveError,
)
from zserve_client.errors import BY_TYPE, problem_error
from zserve_client.wire import Patience, retry_after_s

Answer = tuple[int, dict[str, str], bytes]
GOOD: Answer = (200, {"X-Model": "mnist@1", "Content-Type": "image/png"}, b"a picture")
READY: Answer = (200, {"Content-Type": "application/json"}, b'{"status": "ready"}')


def busy(status: int = 503, **headers: str) -> Answer:
    problem = {"type": "/problems/queue-full", "detail": "too many images are waiting"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return (status, named | {"Content-Type": "application/problem+json"}, _json(problem))


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again_when_it_said(scripted: Scripted, status: int):
    scripted.answers = [busy(status, Retry_After="0"), busy(status, Retry_After="0"), GOOD]
    with Client(scripted.url) as client:
        assert client.generate(1).content == b"a picture"
    assert len(scripted.asked) == 3


def test_the_other_client_does_the_same(scripted: Scripted):
    scripted.answers = [busy(Retry_After="0"), None, GOOD]

    async def ask() -> bytes:
        async with AsyncClient(scripted.url) as client:
            return (await client.generate(1)).content

    assert asyncio.run(ask()) == b"a picture"
    assert len(scripted.asked) == 3


def test_a_connection_that_broke_is_tried_again(scripted: Scripted):
    scripted.answers = [None, GOOD]
    with Client(scripted.url) as client:
        assert client.generate(1).content == b"a picture"
    assert len(scripted.asked) == 2


def test_a_download_that_was_cut_starts_again(scripted: Scripted, tmp_path: Path):
    status, headers, body = GOOD
    scripted.answers = [(status, headers | {"Content-Length": "1000"}, body), GOOD]
    # The server hangs up after the first, because it has nothing more to say.
    scripted.answers[0] = (
        status,
        headers | {"Content-Length": "1000", "Connection": "close"},
        body,
    )
    with Client(scripted.url) as client:
        path = client.download(tmp_path / "samples.zip", 1).path
    assert path.read_bytes() == b"a picture"
    assert len(scripted.asked) == 2


def test_it_gives_up_after_as_many_tries_as_allowed(scripted: Scripted):
    scripted.answers = [busy(Retry_After="0")]
    with Client(scripted.url, retries=2) as client, pytest.raises(UnavailableError) as caught:
        client.generate(1)
    assert len(scripted.asked) == 3
    assert caught.value.retry_after_s == 0


def test_a_wait_beyond_the_longest_is_left_to_the_caller(scripted: Scripted):
    scripted.answers = [busy(Retry_After="3600")]
    with Client(scripted.url) as client, pytest.raises(UnavailableError) as caught:
        client.generate(1)
    assert len(scripted.asked) == 1
    assert caught.value.retry_after_s == 3600


@pytest.mark.parametrize("status", [400, 404, 422, 500, 502])
def test_nothing_else_is_sent_again(scripted: Scripted, status: int):
    scripted.answers = [(status, {"Retry-After": "0"}, b"")]
    with Client(scripted.url) as client, pytest.raises(ZserveError):
        client.generate(1)
    assert len(scripted.asked) == 1


def test_whether_it_is_ready_is_asked_once_and_waited_for_where_wanted(scripted: Scripted):
    scripted.answers = [busy(Retry_After="0"), busy(Retry_After="0"), None, READY]
    with Client(scripted.url) as client:
        with pytest.raises(UnavailableError):
            client.ready()
        assert len(scripted.asked) == 1
        assert client.wait_until_ready().status == "ready"
    assert len(scripted.asked) == 4


def test_waiting_for_one_that_never_is_ends_with_its_own_words(scripted: Scripted):
    scripted.answers = [busy()]
    with Client(scripted.url) as client, pytest.raises(UnavailableError, match="are waiting"):
        client.wait_until_ready(timeout_s=0)


def test_waits_grow_up_to_the_longest_and_end():
    waits = [Patience(retries=8, longest_wait_s=2).wait_s(asked, {}) for asked in range(1, 10)]
    assert waits.pop() is None
    for wait, longest in zip(waits, [0.25, 0.5, 1, 2, 2, 2, 2, 2], strict=True):
        assert wait is not None
        assert longest / 2 <= wait <= longest


def test_retry_after_is_seconds_or_a_date():
    later = datetime.now(UTC) + timedelta(hours=1)
    assert retry_after_s({"retry-after": "7"}) == 7
    assert 3500 < (retry_after_s({"retry-after": format_datetime(later, usegmt=True)}) or 0) <= 3600
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


def test_somebody_else_on_that_port_is_noticed(scripted: Scripted):
    scripted.answers = [(200, {"Content-Type": "text/html"}, b"<h1>It works!</h1>")]
    with Client(scripted.url) as client:
        for call in (client.models, client.ready, client.generate):
            with pytest.raises(UnexpectedAnswerError, match="is this address a zserve"):
                call()


def test_the_words_of_a_proxy_are_kept(scripted: Scripted):
    scripted.answers = [(502, {}, b"<h1>Bad\n Gateway</h1>")]
    with Client(scripted.url) as client, pytest.raises(ServerError, match="Bad Gateway"):
        client.generate(1)


def test_a_slow_answer_is_not_asked_for_twice():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, timeout_s=0.05) as client,
            pytest.raises(NoAnswerError, match="did not answer in time"),
        ):
            client.generate(1)


def test_a_large_download_does_not_pass_through_memory(scripted: Scripted, tmp_path: Path):
    size = 32 * 1024 * 1024
    scripted.answers = [(200, {"X-Model": "mnist@1"}, bytes(size))]
    with Client(scripted.url) as client:
        tracemalloc.start()
        try:
            path = client.download(tmp_path / "large.zip", 1).path
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert path.stat().st_size == size
    assert peak < size / 8


@pytest.mark.parametrize("kind", [*PROBLEMS.values(), VALIDATION, INTERNAL], ids=lambda k: k.slug)
def test_every_problem_of_the_service_has_an_exception_that_fits(kind):
    error = problem_error({"type": kind.uri, "detail": "so", "remedy": "do"}, kind.status)
    assert error.type == kind.slug
    expected = {413: TooLargeError, 401: ForbiddenError, 503: UnavailableError, 500: ServerError}
    assert isinstance(error, expected.get(kind.status, type(error)))
    if kind.status == 422 and kind.slug not in BY_TYPE:
        assert isinstance(error, InvalidRequestError)


def test_every_problem_that_the_client_names_is_one_of_the_service():
    assert BY_TYPE.keys() <= {kind.slug for kind in PROBLEMS.values()}
