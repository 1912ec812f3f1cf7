"""Deadlines of one connection: for requests, bodies and the reading of answers; and how it is closed.

A deadline is an attribute, which `ConnectionTable` compares with the clock once per second. This is
cheaper than a timer for each request.
"""

import asyncio
import contextlib
import enum
import fcntl
import math
import socket
import struct
import termios
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from app.errors import RequestTimeoutError, ServiceError, TooManyConnectionsError
from app.server.connections import ConnectionTable
from app.server.cycle import HttpCycle
from app.server.refusals import Refusal, new_request_id
from app.server.shedding import SheddingProtocol
from app.server.silence import end_if_silent

_LINGER_S = 2.0
"""Time for which a connection is read, and the bytes dropped, after its last answer.

A connection that is closed with unread bytes is reset, and the reset may overtake the answer.
"""


class Phase(enum.Enum):
    """State of a connection: what it waits for its client to do."""

    IDLE = enum.auto()
    """All requests are answered; the client may send another one, or nothing."""
    HEAD = enum.auto()
    """The client has to send a request, or the rest of its headers."""
    BODY = enum.auto()
    """The client has to send the rest of a body."""
    COMPLETE = enum.auto()
    """The newest request has arrived and is being answered; nothing is expected of the client."""
    CLOSING = enum.auto()
    """The client has to read the last answer; bytes that it sends are dropped."""


class HoldableFlow(FlowControl):
    """Flow control that does not resume reading between `hold` and `release`.

    A connection holds it while the unparsed bytes of later requests fill its buffer.
    """

    held = False

    def resume_reading(self) -> None:
        """Resume reading, unless it is held."""
        if not self.held:
            super().resume_reading()

    def hold(self) -> None:
        """Stop reading until `release`."""
        self.held = True
        self.pause_reading()

    def release(self) -> None:
        """Resume reading, and let the app pause and resume it again."""
        self.held = False
        self.resume_reading()


class TimedConnection(SheddingProtocol):
    """A connection with deadlines; a subclass parses what the client sends.

    Attributes:
        phase: What the connection expects of the client.
        deadline: Time, by the clock of the event loop, at which the client must have done that.
        head_fed: Bytes that were parsed since the head began, or since the last part of the body.
        unparsed: Bytes that have to wait until earlier requests are answered.
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
        self.head_fed = 0
        self.unparsed = b""
        self._write_deadline = math.inf
        self._unsent = 0  # bytes that the client had not read when _write_deadline was set
        self._window_bytes = 0  # bytes of the body since `deadline` was set
        self._body_bytes = 0  # bytes of the body of the newest request
        self._refusal: Refusal | None = None
        self._active: HttpCycle | None = None  # the request that is being answered

    @property
    def holdable_flow(self) -> HoldableFlow:
        """The flow control, with its own type."""
        return cast(HoldableFlow, self.flow)

    # --- the transport ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the first request, or refuse the connection."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.flow = HoldableFlow(self.transport)
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

    # --- called by the table and the server ---

    def check(self, now: float) -> bool:
        """Act on a deadline that is over; return True if one was."""
        late = now >= min(self.deadline, self._write_deadline)
        if now >= self._write_deadline:
            self._check_write_rate(now)
        if now >= self.deadline:
            match self.phase:
                case Phase.IDLE:
                    if end_if_silent(self.transport):
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

    @property
    def held_bytes(self) -> int:
        """Bytes in memory because the client sends the rest, or reads, later."""
        body = self._body_bytes if self.phase is Phase.BODY else 0
        return self.transport.get_write_buffer_size() + len(self.unparsed) + body

    def evict(self) -> None:
        """Close the connection at once, because another one needs its place."""
        if self.flow.write_paused:
            self._reset()
        else:
            self.transport.abort()

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
        self.head_fed = 0
        self._window_bytes = 0
        self._body_bytes = 0

    def body_received(self, size: int) -> None:
        """Count a part of the body."""
        self._window_bytes += size
        self._body_bytes += size

    def _head_is_late(self, now: float) -> None:
        """Refuse a request whose headers do not end, or close a connection without a request."""
        seconds = self.limits.head_timeout_s
        if self.unparsed:  # the rest may be there, behind requests that are not answered yet
            self.deadline = now + seconds
        elif self.head_fed:
            self._refuse(_too_slow(f"the headers took more than {seconds:g} s"))
        else:
            self._close()

    def _check_body_rate(self, now: float) -> None:
        """Measure the next part of a body, or refuse it. While the app reads nothing, wait."""
        limits = self.limits
        paused = self.flow.read_paused or self.unparsed
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

    def _refuse(self, error: ServiceError) -> None:
        """Answer the newest request with a problem, after the requests before it, and close."""
        self._refusal = Refusal(error, self.limits.retry_after_s, self.limits.root_path)
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
        else:
            self.holdable_flow.hold()

    def _send_refusal(self, refusal: Refusal) -> None:
        request_id = new_request_id()
        self.transport.write(refusal.answer(self.server_state.default_headers, request_id))
        self.table.refused(refusal.kind, self.client, request_id)
        self._finish(unread=True)

    def _finish(self, *, unread: bool) -> None:
        """Close the connection after its last answer; `unread` if the client may send more."""
        self.unparsed = b""
        self.pipeline.clear()
        if not unread:
            self._close()
            return
        self._expect(Phase.CLOSING, _LINGER_S)
        self.holdable_flow.release()
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


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Return the number of bytes that the client has not received, in this process and the kernel.

    The buffer of the process alone shows no progress for a long time if that of the kernel is large.
    """
    unsent = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    with contextlib.suppress(OSError, TypeError, ValueError):
        (in_kernel,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))
        unsent += in_kernel
    return unsent


def _too_slow(detail: str) -> ServiceError:
    return RequestTimeoutError(detail, remedy="send the request again, over a faster connection")
