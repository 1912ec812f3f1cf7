"""Refuse request bodies that are too large, alone or together, or compressed."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.paths import path_in_app
from app.api.problems import respond
from app.errors import BodyTooLargeError, QueueFullError, UnsupportedBodyError, UploadError

_NO_CODINGS = (b"", b"identity")
_READS_CODINGS = "/v2"
"""First part of the paths whose routes decide by themselves which codings they read."""
_LONGEST_NUMBER = 18
"""Digits of the longest Content-Length that is read as a number; Python's limit is 4,300."""


class BodyLimitMiddleware:
    """Refuse bodies of more than `max_body_bytes`, and those in a coding that is not read.

    `others` holds limits by the first part of a path, such as `/v2`. If Content-Length is too large
    the answer is sent at once; a body without Content-Length is counted while it arrives. The bodies
    of all running requests together have at most `max_buffered_bytes`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_body_bytes: int,
        max_buffered_bytes: int,
        others: Mapping[str, int] | None = None,
    ) -> None:
        self._app = app
        self._limit = max_body_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self._buffered_bytes = 0
        self._others = others or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        first = "/" + path_in_app(scope)[1:].partition("/")[0]
        limit = self._others.get(first, self._limit)
        error = _refusal(scope, limit, codings=first == _READS_CODINGS)
        if error is not None:
            await respond(Request(scope), error)(scope, receive, send)
            return
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            if body := message.get("body", b""):
                received += len(body)
                self._buffered_bytes += len(body)
                if received > limit:
                    raise _too_large(f"the body has more than {limit} bytes", limit)
                if self._buffered_bytes > self._max_buffered_bytes:
                    raise QueueFullError(
                        f"the bodies of all requests have more than {self._max_buffered_bytes} bytes",
                        limit=self._max_buffered_bytes,
                    )
            return message

        try:
            await self._app(scope, receive_within_limit, send)
        finally:
            self._buffered_bytes -= received


def _refusal(scope: Scope, limit: int, *, codings: bool) -> UploadError | None:
    """Return an error if the headers say that the body cannot be read."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            if len(value) > _LONGEST_NUMBER:
                return _too_large(f"the body has more than {limit} bytes", limit)
            if int(value) > limit:
                return _too_large(f"the body has {int(value)} bytes", limit)
        if name == b"content-encoding" and value.strip().lower() not in _NO_CODINGS and not codings:
            return _unread_coding(value)
    return None


def _too_large(size: str, limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"{size}; the limit is {limit}",
        limit=limit,
        remedy="send a smaller image, or fewer images",
    )


def _unread_coding(coding: bytes) -> UnsupportedBodyError:
    name = coding.decode("latin-1")[:80]
    return UnsupportedBodyError(
        f"the body has the Content-Encoding {name!r}, which is not read here",
        remedy="send the body uncompressed, without Content-Encoding",
    )
