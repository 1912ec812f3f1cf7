"""The open connections of a worker: their limits, their deadlines, and which one is closed first."""

import asyncio
import contextlib
import resource
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from app.api.problems import ProblemType
from app.settings import Settings

_SWEEP_S = 1.0
"""Time (s) between two looks at the deadlines: a deadline may be missed by this much."""
_LATE_AT_ONCE = 50
"""Late connections that are handled in one go; then the event loop does other work for _PAUSE_S."""
_PAUSE_S = 0.005
_RESERVED_FILES = 128
"""File descriptors that are left for models, logs, listeners, and connections being refused."""

OnRefusal = Callable[[ProblemType, tuple[str, int] | None, str], None]
"""Called with the problem, the client's address, and the request id of a refused request."""


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits of one connection, and of their number."""

    connections: int = 2048
    """Largest number of open connections of a worker."""
    head_bytes: int = 64 * 1024
    """Size of the request line and the headers, or of the trailers of a body."""
    head_timeout_s: float = 10.0
    """Time from the connection, or from the first byte of a later request, to the last header."""
    keep_alive_timeout_s: float = 5.0
    """Time between an answer and the next request."""
    min_rate: float = 1024.0
    """Bytes per second that a client must send of a body, or read of an answer."""
    rate_window_s: float = 10.0
    """Time over which `min_rate` is measured."""
    held_bytes: int = 256 * 1024 * 1024
    """Bytes of all connections that wait for the rest of a body, or for a client that reads."""
    retry_after_s: int = 1
    """Value of Retry-After (s) if there are too many connections."""
    root_path: str = ""
    """Prefix under which a proxy publishes the service; the types of problems begin with it."""

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        """Return the limits of a worker; connections leave some file descriptors free."""
        return cls(
            connections=min(settings.max_connections, _spare_files()),
            head_bytes=settings.max_head_bytes,
            head_timeout_s=settings.head_timeout_s,
            keep_alive_timeout_s=settings.keep_alive_timeout_s,
            min_rate=settings.min_bytes_per_s,
            rate_window_s=settings.rate_window_s,
            held_bytes=settings.max_held_bytes,
            retry_after_s=settings.retry_after_s,
            root_path=settings.root_path,
        )


class Connection(Protocol):
    """A connection, as the table sees it."""

    def check(self, now: float) -> bool:
        """Act on a deadline that is over at `now`; return True if one was."""

    @property
    def held_bytes(self) -> int:
        """Bytes in memory because the client sends the rest, or reads, later."""

    def evict(self) -> None:
        """Close the connection at once, because another one needs its place."""


class ConnectionTable:
    """The open connections of one event loop.

    If there are too many, the one that has waited longest for its client makes room: a client that
    sends its request at once is served although others hold all connections. Only if the service
    itself is busy with all of them is the new one refused.

    Attributes:
        limits: The limits of each connection.
        waiting: Connections that wait for bytes of their client, the longest-waiting one first.
        stalled: Connections whose client does not read its answer, in the order in which they began.
    """

    def __init__(self, limits: ConnectionLimits, on_refusal: OnRefusal | None = None) -> None:
        self.limits = limits
        self.waiting: dict[Connection, None] = {}
        self.stalled: dict[Connection, None] = {}
        self._on_refusal = on_refusal
        self._open: set[Connection] = set()
        self._sweeping = False

    @property
    def connections(self) -> frozenset[Connection]:
        """The open connections."""
        return frozenset(self._open)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> bool:
        """Add a new connection and make room for it; return False if there is no room."""
        self._open.add(connection)
        if not self._sweeping:
            self._sweeping = True
            self._sweep_in(_SWEEP_S)
        while len(self._open) > self.limits.connections:
            victim = self._victim()
            if victim is None:
                return False
            self.remove(victim)
            victim.evict()
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is closed. Idempotent."""
        self._open.discard(connection)
        self.waiting.pop(connection, None)
        self.stalled.pop(connection, None)

    def refused(self, kind: ProblemType, client: tuple[str, int] | None, request_id: str) -> None:
        """Report a request that was refused before it reached the app."""
        if self._on_refusal is not None:
            self._on_refusal(kind, client, request_id)

    def _victim(self) -> Connection | None:
        """Return the connection to close: the longest-waiting one, or else a stalled one."""
        return next(iter(self.waiting), None) or next(iter(self.stalled), None)

    def _sweep(self) -> None:
        """Check the deadlines of all connections; one timer costs less than one per connection."""
        now = asyncio.get_running_loop().time()
        late = 0
        for connection in list(self._open):
            late += connection.check(now)
            if late >= _LATE_AT_ONCE:
                self._sweep_in(_PAUSE_S)
                return
        self._free_memory()
        self._sweeping = bool(self._open)
        if self._sweeping:
            self._sweep_in(_SWEEP_S)

    def _free_memory(self) -> None:
        """Close the connections that hold the most bytes, until all together hold at most `held_bytes`."""
        sizes = {each: each.held_bytes for each in (*self.waiting, *self.stalled)}
        total = sum(sizes.values())
        for connection in sorted(sizes, key=lambda each: -sizes[each]):
            if total <= self.limits.held_bytes:
                return
            total -= sizes[connection]
            self.remove(connection)
            connection.evict()

    def _sweep_in(self, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._sweep, context=Context())


def _spare_files() -> int:
    """Return the number of connections for which this process has file descriptors."""
    with contextlib.suppress(OSError, ValueError):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY:
            return max(limit - _RESERVED_FILES, limit // 2, 1)
    return 1 << 30
