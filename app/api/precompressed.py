"""Answers that are compressed once and then kept: files of the page, JSON about models.

The images themselves are compressed already, and their endpoints do not come through here.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import deflate
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Receive, Scope, Send

from app.api.caching import client_has
from app.api.content_coding import coded_tag
from app.api.negotiation import accepted_coding
from app.off_loop import call

_LEVEL = 12
"""Level of libdeflate: the smallest files, as each is compressed once."""
_JSON_LEVEL = 6
"""Level for JSON, which is compressed on the event loop: 3 ms for 360 kB."""
_MIN_BYTES = 512
"""Bytes of the shortest JSON that is compressed."""
_SUFFIXES = {".css", ".html", ".js", ".json", ".svg", ".txt"}
"""Suffixes of files that are text."""
_LARGE_BYTES = 1024 * 1024
"""Bytes of JSON from which on it is compressed beside the event loop."""
_KEPT_ANSWERS = 64
"""Most JSON answers that are kept."""


class _WholeFile(FileResponse):
    """A file that is sent whole: Range is ignored, RFC 9110 section 14.2, as in all other answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)


class Files(StaticFiles):
    """The files of a folder, compressed if the client accepts it.

    A file is compressed when it is first asked for, and again after it has changed. Each coding has
    an ETag of its own. Clients may keep the files of a folder named `bundle` for ever, because their
    names contain a hash of their content, and ask each time for the others.
    """

    def __init__(self, *, directory: Path) -> None:
        super().__init__(directory=directory)
        self._bundle = directory / "bundle"
        self._kept: dict[tuple[str, str], tuple[str, bytes]] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or 304. Raises OSError if the file cannot be opened."""
        answer = await super().get_response(path, scope)
        if Path(path).suffix not in _SUFFIXES:
            return answer
        answer.headers.append("Vary", "Accept-Encoding")
        request = Request(scope)
        coding = accepted_coding(request)
        if coding is None:
            return answer
        tag = coded_tag(answer.headers["ETag"], coding)
        headers = answer.headers.mutablecopy()
        headers["ETag"] = tag
        if client_has(request, tag):
            return NotModifiedResponse(headers)
        if not isinstance(answer, FileResponse):
            return answer
        content = await run_in_threadpool(self._compressed, str(answer.path), coding, tag)
        del headers["Content-Length"]
        headers["Content-Encoding"] = coding
        return Response(content, headers=dict(headers))

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or 304. Raises OSError, which otherwise comes after the headers."""
        os.close(os.open(full_path, os.O_RDONLY))
        answer: Response = _WholeFile(full_path, status_code, stat_result=stat_result)
        if self.is_not_modified(answer.headers, Headers(scope=scope)):
            answer = NotModifiedResponse(answer.headers)
        del answer.headers["Accept-Ranges"]
        lasts = Path(full_path).parent == self._bundle and Path(full_path).suffix != ".html"
        answer.headers["Cache-Control"] = "max-age=31536000, immutable" if lasts else "no-cache"
        return answer

    def _compressed(self, path: str, coding: str, tag: str) -> bytes:
        """Return a compressed file; `tag` changes with the file."""
        kept = self._kept.get((path, coding))
        if kept is None or kept[0] != tag:
            content = _compress(Path(path).read_bytes(), coding, _LEVEL)
            kept = self._kept[path, coding] = (tag, content)
        return kept[1]


class CompressedRoute(APIRoute):
    """A route whose JSON gets an ETag, and is compressed if the client accepts it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handler = super().get_route_handler()

        async def compressed_handler(request: Request) -> Response:
            return await compress_json(request, await handler(request))

        return compressed_handler


_answers: OrderedDict[str, bytes] = OrderedDict()
"""Compressed answers by their ETag, the least recently used first."""


async def compress_json(request: Request, answer: Response) -> Response:
    """Add an ETag to a JSON answer, compress it, or replace it by 304 if the client has it."""
    if (
        request.method != "GET"
        or answer.status_code != 200
        or answer.headers.get("Content-Type") != "application/json"
    ):
        return answer
    content = bytes(answer.body)
    plain_tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    coding = accepted_coding(request) if len(content) >= _MIN_BYTES else None
    tag = coded_tag(plain_tag, coding)
    headers = MutableHeaders(headers={"ETag": tag, "Cache-Control": "no-cache"})
    headers["Vary"] = "Accept-Encoding"
    if client_has(request, tag):
        return Response(status_code=304, headers=dict(headers))
    if coding is not None:
        headers["Content-Encoding"] = coding
        content = await _compressed_json(tag, content, coding)
    return Response(content, media_type="application/json", headers=dict(headers))


async def _compressed_json(tag: str, content: bytes, coding: str) -> bytes:
    kept = _answers.get(tag)
    if kept is None:
        kept = await call(
            lambda: _compress(content, coding, _JSON_LEVEL), off_loop=len(content) >= _LARGE_BYTES
        )
        _answers[tag] = kept
        if len(_answers) > _KEPT_ANSWERS:
            _answers.popitem(last=False)
    else:
        _answers.move_to_end(tag)
    return kept


def _compress(content: bytes, coding: str, level: int) -> bytes:
    compress = deflate.gzip_compress if coding == "gzip" else deflate.zlib_compress
    return bytes(compress(content, level))
