"""A real server with tiny models, and a server that sends scripted answers."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.api.service import digit, publish, publish_labelled, publish_moving
from tests.e2e.server import serving
from zserve_client import AsyncClient, Client

TOKEN = "a-token-for-tests"
MAX_IMAGES_IN_ZIP = 40

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with two versions of `mnist`, `named` with classes, and `moving`."""
    folder = tmp_path_factory.mktemp("service")
    publish(folder / "store", "mnist", seed=0)
    publish(folder / "store", "mnist", seed=1)
    publish_labelled(folder / "store", "named")
    publish_moving(folder / "store", "moving")
    variables = {
        "ZSERVE_ADMIN_TOKEN": TOKEN,
        "ZSERVE_MAX_STREAMED_IMAGES": str(MAX_IMAGES_IN_ZIP),
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
    """Call a method of both clients, and return the two results."""

    def call(name: str, *arguments: object, **options: object) -> list[object]:
        async def call_async() -> object:
            async with AsyncClient(url, token=TOKEN) as client:
                return await getattr(client, name)(*arguments, **options)

        with Client(url, token=TOKEN) as client:
            return [getattr(client, name)(*arguments, **options), asyncio.run(call_async())]

    return call


@dataclass
class Script:
    """Answers in order; the last one is repeated. None closes the connection without an answer."""

    answers: list[Answer | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    def next(self, path: str) -> Answer | None:
        self.paths.append(path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def scripted() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = script.next(self.path)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
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
    path = tmp_path / "one.png"
    path.write_bytes(digit())
    return path
