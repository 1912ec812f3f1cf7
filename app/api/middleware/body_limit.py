"""Refuse request bodies that are too large."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.headers import header
from app.api.problems import respond
from app.errors import BodyTooLargeError


class BodyLimitMiddleware:
    """Refuse bodies of more than `max_body_bytes`.

    If Content-Length is too large the answer is sent at once; a body without Content-Length is
    counted while it arrives.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._limit = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        content_length = header(scope, b"content-length")
        if content_length.isdecimal() and int(content_length) > self._limit:
            problem = respond(Request(scope), self._error(f"the body has {content_length} bytes"))
            await problem(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._error(f"the body has more than {self._limit} bytes")
            return message

        await self._app(scope, receive_within_limit, send)

    def _error(self, size: str) -> BodyTooLargeError:
        return BodyTooLargeError(
            f"{size}; the limit is {self._limit}",
            limit=self._limit,
            remedy="send a smaller image, or fewer images",
        )
