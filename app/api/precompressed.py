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
from starlette.types import Scope

from app.api.caching import client_has
from app.api.negotiation import qualities

_LEVEL = 12
"""Level of libdeflate: the smallest files, as each is compressed once."""
_JSON_LEVEL = 6
"""Level for JSON, which is compressed on the event loop: 3 ms for 360 kB."""
_MIN_BYTES = 512
"""Bytes of the shortest JSON that is compressed."""
_SUFFIXES = {".css", ".html", ".js", ".json", ".svg", ".txt"}
"""Suffixes of files that are text."""
_KEPT_ANSWERS = 64
"""Most JSON answers that are kept."""


class Files(StaticFiles):
    """The files of a folder, compressed if the client accepts gzip.

    A file is compressed when it is first asked for, and again after it has changed. Each coding has
    an ETag of its own. Clients may keep the files of a folder named `bundle` for ever, because their
    names contain a hash of their content, and ask each time for the others.
    """

    def __init__(self, *, directory: Path) -> None:
        super().__init__(directory=directory)
        self._bundle = directory / "bundle"
        self._kept: dict[str, tuple[str, bytes]] = {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file, or 304. Raises OSError if the file cannot be opened."""
        answer = await super().get_response(path, scope)
        if Path(path).suffix not in _SUFFIXES:
            return answer
        answer.headers.append("Vary", "Accept-Encoding")
        request = Request(scope)
        if not _accepts_gzip(request):
            return answer
        tag = _coded_tag(answer.headers["ETag"])
        headers = answer.headers.mutablecopy()
        headers["ETag"] = tag
        if client_has(request, tag):
            return NotModifiedResponse(headers)
        if not isinstance(answer, FileResponse):
            return answer
        content = await run_in_threadpool(self._compressed, str(answer.path), tag)
        del headers["Content-Length"], headers["Accept-Ranges"]
        headers["Content-Encoding"] = "gzip"
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
        answer = super().file_response(full_path, stat_result, scope, status_code)
        lasts = Path(full_path).parent == self._bundle and Path(full_path).suffix != ".html"
        answer.headers["Cache-Control"] = "max-age=31536000, immutable" if lasts else "no-cache"
        return answer

    def _compressed(self, path: str, tag: str) -> bytes:
        """Return a compressed file; `tag` changes with the file."""
        kept = self._kept.get(path)
        if kept is None or kept[0] != tag:
            content = bytes(deflate.gzip_compress(Path(path).read_bytes(), _LEVEL))
            kept = self._kept[path] = (tag, content)
        return kept[1]


class CompressedRoute(APIRoute):
    """A route whose JSON gets an ETag, and is compressed if the client accepts gzip."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the route."""
        handler = super().get_route_handler()

        async def compressed_handler(request: Request) -> Response:
            return compress_json(request, await handler(request))

        return compressed_handler


_answers: OrderedDict[str, bytes] = OrderedDict()
"""Compressed answers by the ETag of the uncompressed answer, the least recently used first."""


def compress_json(request: Request, answer: Response) -> Response:
    """Add an ETag to a JSON answer, compress it, or replace it by 304 if the client has it."""
    if (
        request.method != "GET"
        or answer.status_code != 200
        or answer.headers.get("Content-Type") != "application/json"
    ):
        return answer
    content = bytes(answer.body)
    plain_tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    is_coded = len(content) >= _MIN_BYTES and _accepts_gzip(request)
    tag = _coded_tag(plain_tag) if is_coded else plain_tag
    headers = MutableHeaders(headers={"ETag": tag, "Cache-Control": "no-cache"})
    headers["Vary"] = "Accept-Encoding"
    if client_has(request, tag):
        return Response(status_code=304, headers=dict(headers))
    if is_coded:
        headers["Content-Encoding"] = "gzip"
        content = _compressed_json(plain_tag, content)
    return Response(content, media_type="application/json", headers=dict(headers))


def _compressed_json(tag: str, content: bytes) -> bytes:
    kept = _answers.get(tag)
    if kept is None:
        kept = _answers[tag] = bytes(deflate.gzip_compress(content, _JSON_LEVEL))
        if len(_answers) > _KEPT_ANSWERS:
            _answers.popitem(last=False)
    _answers.move_to_end(tag)
    return kept


def _accepts_gzip(request: Request) -> bool:
    accepted = qualities(Headers(scope=request.scope).get("Accept-Encoding", ""))
    return accepted.get("gzip", accepted.get("*", 0.0)) > 0


def _coded_tag(tag: str) -> str:
    """Return the ETag of the compressed form of an answer."""
    return f'{tag[:-1]}-gzip"'
