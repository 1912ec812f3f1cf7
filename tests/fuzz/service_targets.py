"""Fuzzed requests to /edit and /score: query, content type and body of one, through the whole app.

The first line of an input is the query, the second the content type, and the rest is the body.
"""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import FastAPI
from starlette.types import Message

from app.asgi import create_app
from app.errors import ServiceError
from app.settings import Settings
from tests.fuzz.target import Target
from tests.hostile.generate import read
from tests.hostile.png_files import usual
from tests.hostile.server import publish_whole

_SCRATCH = tempfile.TemporaryDirectory(prefix="zserve-fuzz-")
_LOOP = asyncio.new_event_loop()
_RUNNING = contextlib.AsyncExitStack()
_URL_BYTES = bytes(range(0x21, 0x7F)).decode()
"""All bytes that a URL may have; the server refuses requests with others before the app sees them."""


class InternalError(Exception):
    """The service has answered with 500, which is its fault and not the client's."""


def _seeds(*inputs: bytes) -> list[bytes]:
    """Start the app, so that no run has to, and return the inputs."""
    _app()
    return list(inputs)


@functools.cache
def _app() -> FastAPI:
    """Start the app with one model, which has directions and a typicality table."""
    publish_whole(Path(_SCRATCH.name), "moving")
    settings = Settings(
        store=Path(_SCRATCH.name), model="moving", device="cpu", log_requests=False, telemetry=False
    )
    app = create_app(settings)
    _LOOP.run_until_complete(_RUNNING.enter_async_context(app.router.lifespan_context(app)))
    return app


def _send(path: str, data: bytes) -> None:
    """Send a request; raises ServiceError if it is refused, InternalError if the service fails."""
    query, _, rest = data.partition(b"\n")
    content_type, _, body = rest.partition(b"\n")
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    answers: list[Message] = []

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": quote(query, safe=_URL_BYTES).encode(),
        "headers": [
            (b"host", b"a"),
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    _LOOP.run_until_complete(_app()(scope, receive, send))
    status = answers[0]["status"]
    if status == 500:
        raise InternalError(answers[1]["body"].decode()[:300])
    if status >= 400:
        raise ServiceError(f"answered with {status}")


def _hostile(path: str) -> Callable[[dict[str, Any]], bytes | None]:
    """Return a function that makes an input of a hostile request to this path."""

    def hostile(entry: dict[str, Any]) -> bytes | None:
        head, _, body = read(entry).partition(b"\r\n\r\n")
        request, *lines = head.decode("latin-1").split("\r\n")
        target = urlsplit(request.split(" ")[1])
        if target.path != path:
            return None
        pairs = (line.partition(": ") for line in lines)
        types = [value for name, _, value in pairs if name == "Content-Type"]
        return "\n".join([target.query, *(types or [""]), ""]).encode("latin-1") + body

    return hostile


TARGETS = (
    Target(
        "edit",
        functools.partial(_send, "/edit"),
        ("moves",),
        (
            *(b"direction=", b"by=", b"class:a, b", b"slant", b"thickness", b",", b"&", b"%00"),
            *(b"-1e9", b"1e999", b"NaN", b"format=json", b"format=npz", b'{"z": [[0, 0, 0]]}'),
        ),
        lambda: _seeds(
            b"seed=1&direction=slant,class:a, b&by=1,-2.5\n\n",
            b'direction=thickness\napplication/json\n{"z": [[0, 1, 2], [3, 4, 5]]}',
            b"direction=slant&format=json\nimage/png\n" + usual(),
        ),
        read=_hostile("/edit"),
    ),
    Target(
        "score",
        functools.partial(_send, "/score"),
        ("moves",),
        (b"draws=", b"seed=", b"format=npz", b"preprocess=none", b"4096", b"-1", b"&", b"IDAT"),
        lambda: _seeds(b"draws=4&seed=7\nimage/png\n" + usual()),
        read=_hostile("/score"),
    ),
)
