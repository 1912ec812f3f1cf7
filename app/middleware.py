"""What every request passes through, as pure ASGI: its id, its size, and the last net."""

import logging
import re
import secrets

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLargeError
from app.problems import respond

log = logging.getLogger("zserve")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestContext:
    """Gives each request an id, returned in X-Request-ID, and turns a crash into a problem.

    A client may bring its own id; one that could not be logged safely is replaced.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
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
        announced = Headers(scope=scope).get("content-length", "")
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
