"""What every request passes through, as pure ASGI, from the outside in.

RequestContext   its id and trace, and the last net under it
Observe          counts it, times it, logs it
HeadLikeGet      answers HEAD with the headers of GET
Abandonment      stops it when the client has gone
BodyLimit        bounds its body
"""

import asyncio
import logging
import re
import secrets
import time
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.deadlines import DeadlineTimer
from app.errors import BodyTooLargeError
from app.observability.logs import REQUEST, Answered, RequestLabels, RequestLog
from app.observability.metrics import TIMES, Telemetry, Times
from app.observability.tracing import Trace

log = logging.getLogger("zserve")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


def _header(scope: Scope, name: bytes) -> str:
    """A header of the request by its name in small letters; empty where it is missing."""
    for known, value in scope["headers"]:
        if known == name:
            return bytes(value).decode("latin-1")
    return ""


class RequestContext:
    """Gives each request an id, returned in X-Request-ID, and turns a crash into a problem.

    A client may bring its own id; one that could not be logged safely is replaced. A trace that
    it brings in `traceparent` is continued: the log and the answer name our own span of it, or
    OpenTelemetry's, where that traces.
    """

    def __init__(self, app: ASGIApp, *, tracing: bool) -> None:
        self._app = app
        self._trace_of = Trace.current if tracing else Trace.continued

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _header(scope, b"x-request-id")
        request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        trace = self._trace_of(_header(scope, b"traceparent"))
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST.set(RequestLabels(request_id, trace))
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                if trace is not None:
                    headers.append((b"traceparent", trace.traceparent.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.info("the client of request %s left before its body was read", request_id)
        except Exception as error:
            log.exception("request %s %s %s failed", request_id, scope["method"], scope["path"])
            if started:
                raise
            await respond(Request(scope), error)(scope, receive, send_with_id)


class Observe:
    """Counts and times each request, says so in headers (milliseconds), and logs it."""

    def __init__(
        self, app: ASGIApp, *, telemetry: Telemetry, request_log: RequestLog | None
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._request_log = request_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        times = Times()
        TIMES.set(times)
        status = 0

        async def send_with_times(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if times.calls:
                    headers = (
                        *message.get("headers", ()),
                        (b"x-queue-time", b"%.3f" % (times.queue_s * 1e3)),
                        (b"x-inference-time", b"%.3f" % (times.inference_s * 1e3)),
                    )
                    message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_times)
        except Exception:
            status = status or 500
            raise
        finally:
            self._note(scope, status, time.perf_counter() - begin, times)

    def _note(self, scope: Scope, status: int, seconds: float, times: Times) -> None:
        if status == 0:
            self._telemetry.client_left()
            status = _CLIENT_LEFT
        method = scope["method"] if scope["method"] in _METHODS else "other"
        path = getattr(scope.get("route"), "path", "other")
        self._telemetry.answered(method, path, status, seconds, scope["state"].get("problem"))
        if self._request_log is not None:
            method, path = scope["method"], scope["path"]
            self._request_log.add(
                Answered(method, path, status, seconds, times.queue_s, times.inference_s)
            )


_CLIENT_LEFT = 499
"""Nobody receives it; the number under which nginx logs the same."""
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}


class _NothingMoreWantedError(OSError):
    """What a server raises in `send` once the client has gone: there is no more to be sent."""


class HeadLikeGet:
    """Answers HEAD as GET without the body, RFC 9110 section 9.3.2; what streams is cut short."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        scope["state"]["method"] = "HEAD"
        get: Scope = {**scope, "method": "GET"}
        answered = False

        async def send_headers(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                await send(message)
            elif not answered:
                answered = True
                await send({"type": "http.response.body", "body": b""})
                if message.get("more_body", False):
                    raise _NothingMoreWantedError

        try:
            await self._app(get, receive, send_headers)
        except (_NothingMoreWantedError, ClientDisconnect):
            if not answered:
                raise
        finally:
            if "route" in get:
                scope["route"] = get["route"]


class Abandonment:
    """Cancels the work for a client that has gone, also after its whole body was read.

    Most requests are answered within GRACE_S, and nobody watches their clients.
    """

    GRACE_S = 0.05

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._deadlines = DeadlineTimer(self.GRACE_S, self._watch)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        work = asyncio.current_task()
        if scope["type"] != "http" or work is None:
            await self._app(scope, receive, send)
            return
        guard = _Guard(receive, work)
        self._deadlines.start(guard)
        try:
            await self._app(scope, guard.receive, send)
        except asyncio.CancelledError:
            if not guard.client_left or work.uncancel() > 0:
                raise
            log.info("the client of request %s left", scope["state"]["request_id"])
        finally:
            self._deadlines.cancel(guard)
            guard.end()

    def _watch(self, guard: "_Guard") -> None:
        """Watch, once there is no more body to read."""
        if guard.body_read:
            guard.watch()
        else:
            self._deadlines.start(guard)


class _Guard:
    """Waits beside the work for the client to leave."""

    def __init__(self, receive: Receive, work: "asyncio.Task[Any]") -> None:
        self.client_left = False
        self.body_read = False
        self._receive = receive
        self._work = work
        self._watching: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        message = await self._receive()
        self.body_read = self.body_read or not message.get("more_body", False)
        return message

    def watch(self) -> None:
        self._watching = asyncio.get_running_loop().create_task(self._wait())

    def end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        self._work.cancel()


class BodyLimit:
    """Refuses bodies beyond the limit: by Content-Length at once, otherwise while they arrive."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _header(scope, b"content-length")
        if announced.isdecimal() and int(announced) > self._limit:
            problem = respond(Request(scope), self._error(f"the body has {announced} bytes"))
            await problem(scope, receive, send)
            return
        seen = 0

        async def receive_within_limit() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise self._error(f"the body has more than {self._limit} bytes")
            return message

        await self._app(scope, receive_within_limit, send)

    def _error(self, found: str) -> BodyTooLargeError:
        return BodyTooLargeError(
            f"{found}; at most {self._limit} are taken",
            limit=self._limit,
            remedy="send a smaller image, or fewer of them",
        )
