"""HTTP/1.1 on one connection: uvicorn's protocol with limits on bytes and on time.

uvicorn parses heads of any size, queues any number of pipelined requests, and gives a slow client as
much time as it takes. This protocol bounds each of these.
"""

import asyncio
import math
import re
from typing import Any, NoReturn, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import (
    HeadersTooLargeError,
    MalformedRequestError,
    ServiceError,
    UrlTooLongError,
)
from app.server.connections import ConnectionTable
from app.server.cycle import HttpCycle
from app.server.timed_connection import Phase, TimedConnection

_PIECE = 1024
"""Bytes that are parsed at once outside of bodies: so many hold at most 40 pipelined requests."""
_UNPARSED_BYTES = 64 * 1024
"""Bytes of later requests that are read while an earlier one is answered."""
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class _StopParsingError(Exception):
    """Stop the parser: the connection has had its last request."""


class HttpProtocol(TimedConnection):
    """One connection: the parser's callbacks, and the order of requests and answers."""

    def __init__(
        self,
        table: ConnectionTable,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(table, config, server_state, app_state, _loop)
        self._head_size = 0  # of the complete parts: URL and headers, or trailers
        self._hosts: list[bytes] = []
        self._body_left: int | None = 0

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, or keep it until the requests before it are answered."""
        if self.phase is Phase.CLOSING or self._refusal is not None:
            return
        if self.pipeline or self.unparsed:
            self.unparsed += data
            if len(self.unparsed) > _UNPARSED_BYTES:
                self.holdable_flow.hold()
        elif len(data) <= _PIECE:
            self._parse(data)
        else:
            self._parse_pieces(data)

    # --- the parser ---

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._head_size = 0
        self.head_fed = 0
        self._hosts = []
        self._body_left = 0
        if self.phase is not Phase.HEAD:
            self._expect(Phase.HEAD, self.limits.head_timeout_s)

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        self._head_size += len(url)
        if self._head_size > self.limits.head_bytes:
            limit = self.limits.head_bytes
            self._stop_parsing(
                UrlTooLongError(
                    f"the URL has more than {limit} bytes",
                    limit=limit,
                    remedy="send long values in the body of a POST",
                )
            )
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header; drop a trailer, which nothing here reads."""
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self.limits.head_bytes:
            self._stop_parsing(self._headers_too_large())
        if self.phase is Phase.BODY:
            return
        name = name.lower()
        if name == b"host":
            self._hosts.append(value)
        elif name == b"content-length":
            self._body_left = int(value)
        elif name == b"transfer-encoding":
            self._body_left = None
            if value.lower() != b"chunked":
                self._stop_parsing(_not_http("the Transfer-Encoding is not chunked"))
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start to answer the request, or queue it behind the one that is being answered."""
        version = self.parser.get_http_version()
        self._check_host(version)
        self._complete_scope(version)
        before: RequestResponseCycle | None = self.cycle
        self.cycle = cycle = self._new_cycle(version)
        self._head_size = 0  # from here on, the size of the trailers
        if self._body_left != 0:
            self._expect_body()
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.pipeline.appendleft((cycle, self.app))
        if self.phase is Phase.CLOSING:  # it was answered at once, by an answer that is the last
            raise _StopParsingError

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body to the app."""
        self.body_received(len(body))
        self.head_fed = 0
        if self._body_left is not None:
            self._body_left -= len(body)
            cast(HttpCycle, self.cycle).body_left = self._body_left
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the deadline of the request."""
        super().on_message_complete()
        self.cycle.more_body = False
        self.phase = Phase.COMPLETE
        self.deadline = math.inf
        self.table.waiting.pop(self, None)
        if self.cycle.response_complete:
            self._expect(Phase.IDLE, self.limits.keep_alive_timeout_s)

    # --- answers ---

    def on_response_complete(self) -> None:
        """Answer the next request, wait for one, or close the connection."""
        self.server_state.total_requests += 1
        answered, self._active = self._active, None
        if self.transport.is_closing():
            return
        if answered is not None and not answered.keep_alive:
            self._finish(unread=answered.more_body)
        elif self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
        elif self.phase is Phase.COMPLETE:
            self._expect(Phase.IDLE, self.limits.keep_alive_timeout_s)
        else:
            self.table.waiting[self] = None  # for the rest of a later request
        if not self.pipeline and self.phase is not Phase.CLOSING:
            self._parse_rest()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cast(HttpCycle, cycle)
        super()._start_asgi_task(cycle, app)

    # --- parsing ---

    def _parse(self, piece: bytes | memoryview) -> None:
        """Feed the parser; refuse what is not HTTP, and headers that do not end."""
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            # No other protocol is spoken here: the client goes on in this one.
            rest = piece[upgrade.args[0] :]
            if rest:
                self._parse(rest)
        except httptools.HttpParserError:
            if self._refusal is None and self.phase is not Phase.CLOSING:
                self._refuse(_not_http("this is not a valid HTTP request"))
            return
        if self.phase is Phase.HEAD or (self.phase is Phase.BODY and self._body_left is None):
            self.head_fed += len(piece)
            if self.head_fed > self.limits.head_bytes + _PIECE:
                self._refuse(self._headers_too_large())

    def _parse_pieces(self, data: bytes) -> None:
        """Parse until a request has to wait for an earlier one; keep the rest."""
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self.pipeline:
                self.unparsed = bytes(view[position:])
                return
            in_body = self._body_left or 0 if self.phase is Phase.BODY else 0
            end = position + max(_PIECE, in_body)
            self._parse(view[position:end])
            if self._refusal is not None or self.phase is Phase.CLOSING:
                return
            position = end

    def _parse_rest(self) -> None:
        """Parse what was kept, and read on."""
        rest, self.unparsed = self.unparsed, b""
        if rest:
            self._parse_pieces(rest)
        if len(self.unparsed) <= _UNPARSED_BYTES:
            self.holdable_flow.release()

    def _check_host(self, version: str) -> None:
        """Refuse a request without exactly one valid Host, RFC 9112 section 3.2."""
        if len(self._hosts) != 1 and (self._hosts or version != "1.0"):
            self._stop_parsing(
                _not_http(f"the request has {len(self._hosts)} Host headers instead of one")
            )
        if self._hosts and not _HOST.fullmatch(self._hosts[0]):
            self._stop_parsing(_not_http("the Host header is not the name of a host"))

    def _complete_scope(self, version: str) -> None:
        """Add method, path and query to the scope."""
        try:
            url = httptools.parse_url(self.url)
            path = url.path.decode("ascii")
        except (httptools.HttpParserError, UnicodeDecodeError, AttributeError):
            self._stop_parsing(_not_http("the URL of the request is not valid"))
        root = self.root_path
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = root + (unquote(path) if "%" in path else path)
        self.scope["raw_path"] = root.encode("ascii") + url.path
        self.scope["query_string"] = url.query or b""

    def _new_cycle(self, version: str) -> HttpCycle:
        cycle = HttpCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.body_left = self._body_left
        return cycle

    # --- refusing ---

    def _stop_parsing(self, error: ServiceError) -> NoReturn:
        """Refuse the request from within a callback of the parser."""
        self._refuse(error)
        raise _StopParsingError

    def _headers_too_large(self) -> ServiceError:
        limit = self.limits.head_bytes
        return HeadersTooLargeError(
            f"the headers have more than {limit} bytes", limit=limit, remedy="send fewer headers"
        )


def _not_http(detail: str) -> ServiceError:
    return MalformedRequestError(detail, remedy="let an HTTP library write the request")
