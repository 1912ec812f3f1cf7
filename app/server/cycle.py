"""One request and its answer: uvicorn's cycle with an answer for HTTP/1.0 and for stopping."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.api.security_headers import SECURITY_HEADERS

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

_FORBIDDEN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Bytes that no header of an answer may contain: they could end the header early."""
_WITHOUT_BODY = (204, 304)

RawHeaders = Sequence[tuple[bytes, bytes]]


class HttpCycle(RequestResponseCycle):
    """A request and its answer.

    It differs from uvicorn's in three ways. A body of unknown length is sent chunked to HTTP/1.1
    clients only; for HTTP/1.0 the end of the connection ends it. The answer closes the connection
    if much of the request has not arrived. The protocol closes the connection, not the cycle.

    Attributes:
        body_left: Bytes of the request body that have not arrived; None if their number is unknown.
        ends_with_connection: True if the end of the connection is the end of the answer.
    """

    body_left: int | None = 0
    ends_with_connection = False

    async def send(self, message: "ASGISendEvent") -> None:
        """Write a part of the answer, once the client has read enough of the parts before."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.response_complete:
            raise RuntimeError(f"the app sent {message['type']!r} after its answer was complete")
        if message["type"] == "http.response.body" and self.response_started:
            self._write_body(message.get("body", b""), more=message.get("more_body", False))
        elif message["type"] == "http.response.start" and not self.response_started:
            self._write_head(
                message["status"], [*self.default_headers, *message.get("headers", ())]
            )
        else:
            raise RuntimeError(f"the app sent {message['type']!r} at the wrong time")

    async def send_500_response(self) -> None:
        """Answer for an app that ended without an answer; the app itself catches exceptions."""
        await self.send(
            {
                "type": "http.response.start",
                "status": 500,
                "headers": [
                    *SECURITY_HEADERS,
                    (b"content-length", b"0"),
                    (b"connection", b"close"),
                ],
            }
        )
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    def _write_head(self, status: int, headers: RawHeaders) -> None:
        if self._rest_is_not_read():
            self.keep_alive = False
        self.response_started = True
        self.waiting_for_100_continue = False
        parts: list[bytes] = []
        closes = False
        for name, value in headers:
            parts += (name, value)
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                self.chunked_encoding = True
            elif name == b"connection" and b"close" in value.lower():
                self.keep_alive, closes = False, True
        if _FORBIDDEN.search(b"".join(parts)):
            raise RuntimeError("a header of the answer contains a control character")
        lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers)]
        if self.chunked_encoding is None:
            self._choose_coding(status, lines)
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self.transport.write(b"".join(lines))

    def _rest_is_not_read(self) -> bool:
        """Return True if a new connection is better than reading the rest of the request.

        A client that waits for `100 Continue` may leave out the body after another answer, so it is
        unknown if its next bytes are that body.
        """
        if not self.more_body:
            return False
        length = self.body_left
        return self.waiting_for_100_continue or length is None or length > HIGH_WATER_LIMIT

    def _choose_coding(self, status: int, lines: list[bytes]) -> None:
        """Choose how the end of a body of unknown length is found."""
        if self.scope["method"] == "HEAD" or status in _WITHOUT_BODY:
            return
        self.chunked_encoding = self.scope["http_version"] != "1.0"
        if self.chunked_encoding:
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.ends_with_connection, self.keep_alive = True, False

    def _write_body(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
        elif self.chunked_encoding:
            coded = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            self.transport.write(coded if more else coded + b"0\r\n\r\n")
        else:
            if not self.ends_with_connection:
                self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the body of the answer is longer than its Content-Length")
            self.transport.write(body)
        if not more:
            if self.expected_content_length != 0:
                raise RuntimeError("the body of the answer is shorter than its Content-Length")
            self.response_complete = True
            self.message_event.set()
            self.on_response()
