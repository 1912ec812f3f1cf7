"""A real server with tiny models, and one that says what a test tells it to say."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.api.service import publish, publish_labelled
from tests.e2e.server import serving
from zserve_client import AsyncClient, Client

TOKEN = "a-token-for-tests"
MOST_IN_A_ZIP = 40


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with two versions of `mnist`, and `named`, which knows classes."""
    folder = tmp_path_factory.mktemp("service")
    publish(folder / "store", "mnist", seed=0)
    publish(folder / "store", "mnist", seed=1)
    publish_labelled(folder / "store", "named")
    variables = {
        "ZSERVE_ADMIN_TOKEN": TOKEN,
        "ZSERVE_MAX_STREAMED_IMAGES": str(MOST_IN_A_ZIP),
        "ZSERVE_DEVICE": "cpu",
    }
    with serving(folder / "store", folder / "server.log", **variables) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, token=TOKEN) as client:
        yield client


@pytest.fixture
def both(url: str) -> Callable[..., list[object]]:
    """Calls a method of both clients: the two results."""

    def call(name: str, *arguments: object, **options: object) -> list[object]:
        async def awaited() -> object:
            async with AsyncClient(url, token=TOKEN) as client:
                return await getattr(client, name)(*arguments, **options)

        with Client(url, token=TOKEN) as client:
            return [getattr(client, name)(*arguments, **options), asyncio.run(awaited())]

    return call


@dataclass
class Scripted:
    """A server that gives these answers one after the other, and the last of them for ever.

    An answer is a status, its headers and its body; None hangs up without a word.
    """

    answers: list[tuple[int, dict[str, str], bytes] | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def next(self, path: str) -> tuple[int, dict[str, str], bytes] | None:
        self.asked.append(path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = script.next(self.path)
            if said is None:
                self.close_connection = True
                return
            status, headers, body = said
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Keep the output of the tests to the tests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    from tests.api.service import digit

    path = tmp_path / "one.png"
    path.write_bytes(digit())
    return path
