"""HTTP/1.1 on one connection: uvicorn's protocol with limits on bytes and on time.

uvicorn parses a request of any size, queues any number of pipelined requests, and waits for a slow
client as long as the client likes. This protocol bounds each of these. A deadline is an attribute,
which `ConnectionTable` compares with the clock once per second, so a request pays for no timer.
"""

import asyncio
import contextlib
import enum
import fcntl
import math
import re
import socket
import struct
import termios
from typing import Any, NoReturn, cast
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.errors import (
    HeadersTooLargeError,
    MalformedRequestError,
    RequestTimeoutError,
    ServiceError,
    TooManyConnectionsError,
    UrlTooLongError,
)
from app.server.connections import ConnectionTable
from app.server.cycle import HttpCycle
from app.server.refusals import Refusal, new_request_id

_PIECE = 1024
"""Bytes that are parsed at once outside of bodies: so many hold at most 40 pipelined requests."""
_UNPARSED_BYTES = 64 * 1024
"""Bytes of later requests that are read while an earlier one is answered."""
_LINGER_S = 2.0
"""Time for which a connection is read, and the bytes dropped, after its last answer.

A connection that is closed with unread bytes is reset, and the reset may overtake the answer.
"""
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")


class Phase(enum.Enum):
    """What the connection expects of the client."""

    IDLE = enum.auto()
    """A further request, or nothing."""
    HEAD = enum.auto()
    """A request, or the rest of its headers."""
    BODY = enum.auto()
    """The rest of a body."""
    COMPLETE = enum.auto()
    """Nothing: the newest request is complete, and is being answered."""
    CLOSING = enum.auto()
    """That it reads the last answer; whatever it sends is dropped."""


class _RefusedError(Exception):
    """Stop the parser: the connection has a refusal."""


class _Flow(FlowControl):
    """Flow control that does not resume reading while the connection holds enough bytes."""

    held = False

    def resume_reading(self) -> None:
        """Resume reading, unless it is held."""
        if not self.held:
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """One connection.

    Attributes:
        phase: What the connection expects of the client.
        deadline: Time of the event loop at which the client must have done so.
    """

    def __init__(
        self,
        table: ConnectionTable,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.table = table
        self.limits = table.limits
        self.phase = Phase.HEAD
        self.deadline = math.inf
        self._write_deadline = math.inf
        self._unsent = 0  # bytes of the write buffer when _write_deadline was set
        self._head_size = 0  # of the complete parts: URL and headers, or trailers
        self._head_fed = 0  # bytes that were parsed since the head began, or since the last body
        self._hosts: list[bytes] = []
        self._body_left: int | None = 0
        self._window_bytes = 0  # bytes of the body since `deadline` was set
        self._unparsed = b""
        self._refusal: Refusal | None = None
        self._active: HttpCycle | None = None  # the request that is being answered

    # --- the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the first request, or refuse the connection."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.flow = _Flow(self.transport)
        admitted = self.table.add(self)
        self._expect(Phase.HEAD, self.limits.head_timeout_s)
        if not admitted:
            self._refuse(
                TooManyConnectionsError(
                    f"all {self.limits.connections} connections of this worker are in use",
                    limit=self.limits.connections,
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; requests that are being answered see a disconnected client."""
        self.table.remove(self)
        if self._active is not None:
            self._active.disconnected = True
            self._active.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client a time in which it must read."""
        super().pause_writing()
        self.table.stalled[self] = None
        self._start_write_deadline(self.loop.time())

    def resume_writing(self) -> None:
        """Stop the time: the client has read."""
        super().resume_writing()
        self.table.stalled.pop(self, None)
        self._write_deadline = math.inf

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent, or keep it until the requests before it are answered."""
        if self.phase is Phase.CLOSING or self._refusal is not None:
            return
        if self.pipeline or self._unparsed:
            self._unparsed += data
            if len(self._unparsed) > _UNPARSED_BYTES:
                self._flow.held = True
                self.flow.pause_reading()
        elif len(data) <= _PIECE:
            self._parse(data)
        else:
            self._parse_pieces(data)

    # --- deadlines, called by the table ---

    def check(self, now: float) -> bool:
        """Act on a deadline that is over; return True if one was."""
        late = now >= min(self.deadline, self._write_deadline)
        if now >= self._write_deadline:
            self._check_write_rate(now)
        if now >= self.deadline:
            match self.phase:
                case Phase.IDLE:
                    self._close()
                case Phase.HEAD:
                    self._head_is_late(now)
                case Phase.BODY:
                    self._check_body_rate(now)
                case Phase.CLOSING:
                    self.transport.abort()
                case Phase.COMPLETE:
                    pass
        return late

    def evict(self) -> None:
        """Close the connection at once, because another one needs its place."""
        if self.flow.write_paused:
            self._reset()
        else:
            self.transport.abort()

    def shutdown(self) -> None:
        """Close the connection after the answers that are due. The server calls this to stop."""
        self.table.draining = True
        if self.phase is Phase.IDLE or (self.phase is Phase.HEAD and not self._head_size):
            self._close()

    # --- the parser ---

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._head_size = 0
        self._head_fed = 0
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
        if self._body_left != 0:
            self._expect_body()
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.pipeline.appendleft((cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body to the app."""
        self._window_bytes += len(body)
        self._head_fed = 0
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
        if not self.pipeline and self.phase is not Phase.CLOSING:
            self._parse_rest()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._active = cast(HttpCycle, cycle)
        super()._start_asgi_task(cycle, app)

    # --- parsing ---

    @property
    def _flow(self) -> _Flow:
        return cast(_Flow, self.flow)

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
            if self._refusal is None:
                self._refuse(_not_http("this is not a valid HTTP request"))
            return
        if self.phase is Phase.HEAD or (self.phase is Phase.BODY and self._body_left is None):
            self._head_fed += len(piece)
            if self._head_fed > self.limits.head_bytes + _PIECE:
                self._refuse(self._headers_too_large())

    def _parse_pieces(self, data: bytes) -> None:
        """Parse until a request has to wait for an earlier one; keep the rest."""
        view = memoryview(data)
        position = 0
        while position < len(view):
            if self.pipeline:
                self._unparsed = bytes(view[position:])
                return
            in_body = self._body_left or 0 if self.phase is Phase.BODY else 0
            end = position + max(_PIECE, in_body)
            self._parse(view[position:end])
            if self._refusal is not None or self.phase is Phase.CLOSING:
                return
            position = end

    def _parse_rest(self) -> None:
        """Parse what was kept, and read on."""
        rest, self._unparsed = self._unparsed, b""
        if rest:
            self._parse_pieces(rest)
        if len(self._unparsed) <= _UNPARSED_BYTES:
            self._flow.held = False
            self.flow.resume_reading()

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
        cycle.table = self.table
        cycle.body_left = self._body_left
        return cycle

    # --- waiting for the client ---

    def _expect(self, phase: Phase, seconds: float) -> None:
        """Give the client `seconds` to send something."""
        self.phase = phase
        self.deadline = self.loop.time() + seconds
        if self._active is None:
            self.table.waiting[self] = None

    def _expect_body(self) -> None:
        """Start to measure the rate of a body."""
        self.table.waiting.pop(self, None)
        self._expect(Phase.BODY, self.limits.rate_window_s)
        self._head_size = 0  # from here on, the size of the trailers
        self._head_fed = 0
        self._window_bytes = 0

    def _head_is_late(self, now: float) -> None:
        """Refuse a request whose headers do not end, or close a connection without a request."""
        seconds = self.limits.head_timeout_s
        if self._unparsed:  # the rest may be there, behind requests that are not answered yet
            self.deadline = now + seconds
        elif self._head_fed:
            self._refuse(_too_slow(f"the headers took more than {seconds:g} s"))
        else:
            self._close()

    def _check_body_rate(self, now: float) -> None:
        """Measure the next part of a body, or refuse it. While the app reads nothing, wait."""
        limits = self.limits
        paused = self.flow.read_paused or self._unparsed
        if paused or self._window_bytes >= limits.min_rate * limits.rate_window_s:
            self._window_bytes = 0
            self.deadline = now + limits.rate_window_s
        else:
            self._refuse(_too_slow(f"the body came at less than {limits.min_rate:g} bytes/s"))

    def _check_write_rate(self, now: float) -> None:
        """Measure the next part of an answer, or close the connection: nobody reads it."""
        read = self._unsent - unsent_bytes(self.transport)
        if read >= self.limits.min_rate * self.limits.rate_window_s:
            self._start_write_deadline(now)
        else:
            self._reset()

    def _start_write_deadline(self, now: float) -> None:
        self._write_deadline = now + self.limits.rate_window_s
        self._unsent = unsent_bytes(self.transport)

    # --- closing ---

    def _stop_parsing(self, error: ServiceError) -> NoReturn:
        """Refuse the request from within a callback of the parser."""
        self._refuse(error)
        raise _RefusedError

    def _refuse(self, error: ServiceError) -> None:
        """Answer the newest request with a problem, after the requests before it, and close."""
        self._refusal = Refusal(error, self.limits.retry_after_s)
        self.table.waiting.pop(self, None)
        self.deadline = math.inf
        in_body = self.phase is Phase.BODY
        if in_body and self.cycle is self._active:
            cycle, self._active = self.cycle, None
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        elif in_body and self.pipeline:
            self.pipeline.popleft()
        if self._active is None:
            self._send_refusal(self._refusal)

    def _send_refusal(self, refusal: Refusal) -> None:
        request_id = new_request_id()
        self.transport.write(refusal.answer(self.server_state.default_headers, request_id))
        self.table.refused(refusal.kind, self.client, request_id)
        self._finish(unread=True)

    def _finish(self, *, unread: bool) -> None:
        """Close the connection after its last answer; `unread` if the client may send more."""
        self._unparsed = b""
        self.pipeline.clear()
        if not unread:
            self._close()
            return
        self._expect(Phase.CLOSING, _LINGER_S)
        self._flow.held = False
        self.flow.resume_reading()
        self.transport.write_eof()

    def _close(self) -> None:
        """Close the connection once the client has read what was written."""
        self.phase = Phase.CLOSING
        self.deadline = math.inf
        self._start_write_deadline(self.loop.time())
        self.transport.close()

    def _reset(self) -> None:
        """Close the connection at once; without SO_LINGER the kernel would keep what is unread."""
        connection = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError, AttributeError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _headers_too_large(self) -> ServiceError:
        limit = self.limits.head_bytes
        return HeadersTooLargeError(
            f"the headers have more than {limit} bytes", limit=limit, remedy="send fewer headers"
        )


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return the number of bytes that the client has not received, in this process and the kernel.

    The buffer of the process alone shows no progress for a long time if that of the kernel is large.
    """
    unsent = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, AttributeError, ValueError):
        (in_kernel,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
        unsent += in_kernel
    return unsent


def _not_http(detail: str) -> ServiceError:
    return MalformedRequestError(detail, remedy="let an HTTP library write the request")


def _too_slow(detail: str) -> ServiceError:
    return RequestTimeoutError(detail, remedy="send the request again, over a faster connection")
