"""Refuse request bodies that are too large."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.headers import header
from app.api.paths import path_in_app
from app.api.problems import respond
from app.errors import BodyTooLargeError


class BodyLimitMiddleware:
    """Refuse bodies of more than `max_body_bytes`, or the limit of the path's first part.

    `others` holds limits by the first part of a path, such as `/v2`. If Content-Length is too large the answer is sent at once; a body without Content-Length is
    counted while it arrives.
    """

    def __init__(
        self, app: ASGIApp, *, max_body_bytes: int, others: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._limit = max_body_bytes
        self._others = dict(others or {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_for(scope)
        content_length = header(scope, b"content-length")
        if content_length.isdecimal() and int(content_length) > limit:
            error = _error(f"the body has {content_length} bytes", limit)
            problem = respond(Request(scope), error)
            await problem(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _error(f"the body has more than {limit} bytes", limit)
            return message

        await self._app(scope, receive_within_limit, send)

    def _limit_for(self, scope: Scope) -> int:
        first = path_in_app(scope)[1:].partition("/")[0]
        return self._others.get(f"/{first}", self._limit)


def _error(size: str, limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"{size}; the limit is {limit}",
        limit=limit,
        remedy="send a smaller image, or fewer images",
    )
