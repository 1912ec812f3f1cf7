"""Stop a uvicorn server without losing a request that a client has sent.

uvicorn closes its listening sockets and its idle connections at once. The kernel then resets
connections that wait to be accepted, and connections on which a request is under way.
"""

import asyncio
import copy
import logging
import math
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from app.server.silence import end_if_silent
from app.stopping import Stopping

log = logging.getLogger("zserve")

ACCEPT_S = 0.2
"""Time (s) for which a stopping server goes on to accept connections.

It covers connections that the kernel has completed, or is completing, and, if several processes
share the sockets, the time until the supervisor has closed them to new clients.
"""
IDLE_S = 1.0
"""Time (s) without a request after which a stopping server closes a connection.

A client that goes on sending requests within that time is told by `Connection: close` instead. Only
a client whose request crosses the closing of a connection that was idle for so long is reset.
"""
CUT_S = 1.0
"""Time (s) in which cancelled requests end and the bytes of their answers are sent."""
_TICK_S = 0.02
_CLOSE = (b"connection", b"close")


class Drain:
    """The stop of one server; `run` returns when its connections are closed."""

    def __init__(
        self, server: uvicorn.Server, listeners: Sequence[socket.socket], stopping: Stopping
    ) -> None:
        self._server = server
        self._state = server.server_state
        self._connections: set[Any] = self._state.connections
        self._listeners = listeners
        self._stopping = stopping
        self._idle_since: dict[Any, float] = {}

    async def run(self, grace_s: float) -> None:
        """Answer the requests that have been sent, for at most `grace_s`, and cancel the others.

        A forced exit (a second Ctrl-C) cancels them at once.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + grace_s
        # An answer with this header closes its connection; requests that begin from now on have it.
        self._state.default_headers = [*self._state.default_headers, _CLOSE]
        for connection in self._connections:
            _close_after_answer(connection)
        stop_accepting = now() + ACCEPT_S
        await _poll(lambda: now() >= stop_accepting or self._server.force_exit)
        for server in self._server.servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        await _poll(lambda: self._is_done(now()) or now() >= deadline or self._server.force_exit)
        if self._has_work():
            await self._cut()

    def _has_work(self) -> bool:
        return bool(self._connections or self._state.tasks)

    def _is_done(self, now: float) -> bool:
        """Close idle connections; return True if no connection and no request is left."""
        self._close_idle(now)
        return not self._has_work()

    def _close_idle(self, now: float) -> None:
        """Close the connections on which nothing has happened for IDLE_S."""
        idle = {each for each in self._connections if _is_idle(each)}
        self._idle_since = {each: self._idle_since.get(each, now) for each in idle}
        for connection, since in self._idle_since.items():
            if now - since >= IDLE_S and end_if_silent(connection.transport):
                connection.transport.close()

    async def _cut(self) -> None:
        """Cancel all requests, and close all connections.

        Requests without an answer are answered with 503. A streamed answer ends without its last
        chunk, from which a client learns that it is incomplete.
        """
        log.warning("stopping cuts %d requests that have not ended", len(self._state.tasks))
        self._stopping.cutting = True
        for connection in list(self._connections):
            if connection.cycle is None or connection.cycle.response_complete:
                connection.transport.close()
            for cycle in (connection.cycle, *(queued for queued, _ in connection.pipeline)):
                if cycle is not None:
                    cycle.keep_alive = False
        for task in list(self._state.tasks):
            task.cancel()
        await _poll(lambda: not self._has_work(), CUT_S)
        for connection in list(self._connections):
            connection.transport.abort()  # its client does not read the answer
        await _poll(lambda: not self._connections, CUT_S)


async def _poll(condition: Callable[[], bool], timeout_s: float = math.inf) -> None:
    """Wait until a condition holds, for at most `timeout_s`; uvicorn has no event to wait for."""
    now = asyncio.get_running_loop().time
    deadline = now() + timeout_s
    while not condition() and now() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(_TICK_S)


def shed(state: ServerState, every: int) -> None:
    """Close each `every`-th connection after its next answer, so that its client connects again.

    Clients that keep their connections are otherwise never served by a worker that started later.
    """
    closing = copy.copy(state)
    closing.default_headers = [*state.default_headers, _CLOSE]
    connections: set[Any] = state.connections
    for connection in list(connections)[::every]:
        connection.server_state = closing
        _close_after_answer(connection)


def _close_after_answer(connection: Any) -> None:
    """Close a connection after its last request, if the answer can still announce that."""
    cycle = connection.pipeline[0][0] if connection.pipeline else connection.cycle
    if cycle is not None and not cycle.response_started:
        cycle.keep_alive = False


def _is_idle(connection: Any) -> bool:
    """Return True if no byte of a request has come since the last answer."""
    cycle = connection.cycle
    if cycle is None:
        return connection.scope is None
    return bool(cycle.response_complete) and connection.scope is cycle.scope
