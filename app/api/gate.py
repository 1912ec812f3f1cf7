"""Refuse requests of an overloaded service before their parameters and bodies are read.

Most requests of an overloaded service are refused, and the time that refusals take is lost for the
answers. The gate therefore looks only at path and query, and is asked twice: by the protocol of the
server (`app.server.shedding`), before an ASGI scope exists, and by `AdmissionMiddleware`, for all
requests that the protocol passes on. A service that is not overloaded has no work with it.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from app.api.problems import MEDIA_TYPE, PROBLEMS, REMEDIES, Problem, retry_after
from app.errors import QueueFullError
from app.inference.engine import Engine
from app.inference.executor import Function
from app.inference.model_cache import ModelCache
from app.observability.logs import Answered, RequestLabels, RequestLog
from app.observability.metrics import Telemetry

_QUEUE_FULL = PROBLEMS[QueueFullError]
_V2 = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
_MODEL = re.compile(rb"(?:^|&)model=([^&]+)")


class _Work(NamedTuple):
    """The first call to the engine of an endpoint."""

    function: Function
    rows: int = 1
    """Number of rows if the query does not tell it."""
    counted_by: re.Pattern[bytes] | None = None
    """Pattern of the query parameter that tells the number of rows."""


_N = re.compile(rb"(?:^|&)n=(\d{1,5})(?:&|$)")
_STEPS = re.compile(rb"(?:^|&)steps=(\d{1,5})(?:&|$)")
_PATHS = {
    "/generate": _Work("decode", 16, _N),
    "/decode": _Work("decode"),
    "/interpolate": _Work("decode", 8, _STEPS),
    "/traverse": _Work("decode", 7, _STEPS),
    "/edit": _Work("decode"),
    "/encode": _Work("encode"),
    "/augment": _Work("encode"),
    "/reconstruct": _Work("encode"),
    "/score": _Work("encode"),
}
_INFER = _Work("decode")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The parts of an answer that refuses a request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Callable[[Any], Awaitable[None]], method: str) -> None:
        """Send the answer."""
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        body = b"" if method == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


class Gate:
    """Decides by path and query whether a request is refused now, and makes the answer."""

    def __init__(
        self,
        *,
        retry_after_s: int,
        max_images: int,
        telemetry: Telemetry | None,
        request_log: RequestLog | None,
    ) -> None:
        self._telemetry = telemetry
        self._request_log = request_log
        self._retry_after_s = retry_after_s
        self._max_images = max_images
        self._engine: Engine | None = None
        self._cache: ModelCache | None = None

    def open(self, engine: Engine, cache: ModelCache) -> None:
        """Let the gate ask this engine; before that, no request is refused."""
        self._engine, self._cache = engine, cache

    @property
    def overloaded(self) -> bool:
        """True if it is worth asking `refusal`."""
        return self._engine is not None and self._engine.overloaded

    def refusal(
        self, path: str, query: bytes, client: str, *, announce: bool = False
    ) -> QueueFullError | None:
        """Return the error that a request is refused with, or None; a refusal is counted.

        `announce` as for `Engine.refusal`.
        """
        work = _PATHS.get(path)
        reference = _model(query)
        if work is None:
            match = _V2.fullmatch(path)
            if match is None:
                return None
            work = _INFER
            reference = match[1] if match[2] is None else f"{match[1]}@{match[2]}"
        if self._engine is None or self._cache is None:
            return None
        model = self._cache.peek(reference)
        if model is None:
            return None
        rows = work.rows
        if work.counted_by is not None and (number := work.counted_by.search(query)):
            rows = min(int(number[1]), self._max_images)
        return self._engine.refusal(client, model, work.function, rows, announce=announce)

    def answer(
        self, error: QueueFullError, path: str, request_id: str, *, root_path: str = ""
    ) -> Refusal:
        """Return the answer to a request, in the form of its endpoint.

        `root_path` is the prefix that a proxy has removed from the path.
        """
        headers = [(b"retry-after", retry_after(error, self._retry_after_s).encode())]
        if path.startswith("/v2/"):
            body = b'{"error":"%s"}' % str(error).encode()
            media_type = b"application/json"
        else:
            problem = Problem(
                type=root_path + _QUEUE_FULL.uri,
                title=_QUEUE_FULL.title,
                status=_QUEUE_FULL.status,
                detail=str(error),
                instance=root_path + path,
                request_id=request_id,
                limit=error.limit,
                remedy=REMEDIES[QueueFullError],
            )
            body = problem.model_dump_json(exclude_none=True).encode()
            media_type = MEDIA_TYPE.encode()
        headers += [(b"content-length", b"%d" % len(body)), (b"content-type", media_type)]
        return Refusal(_QUEUE_FULL.status, headers, body)

    def record(self, client: str, method: str, path: str, request_id: str, seconds: float) -> None:
        """Count and log a refusal that no middleware sees."""
        status, reason = _QUEUE_FULL.status, _QUEUE_FULL.slug
        if self._telemetry is not None:
            self._telemetry.answered(method, route_pattern(path), status, seconds, reason)
        if self._request_log is not None:
            answered = Answered(client or "unknown", method, path, status, seconds, 0.0, 0.0)
            self._request_log.add(answered, RequestLabels(request_id))


def route_pattern(path: str) -> str:
    """Return the pattern of the route of a path that the gate knows, for metrics."""
    match = None if path in _PATHS else _V2.fullmatch(path)
    if match is None:
        return path
    return (
        "/v2/models/{name}/infer"
        if match[2] is None
        else ("/v2/models/{name}/versions/{version}/infer")
    )


def _model(query: bytes) -> str | None:
    """Return the reference in a query string, or None."""
    if b"model=" not in query:
        return None
    match = _MODEL.search(query)
    return None if match is None else unquote_plus(match[1].decode("latin-1"))
