"""uvicorn's server with heartbeats, and a stop that loses no request."""

import asyncio
import contextlib
import gc
import logging
import math
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.server.draining import Drain, shed
from app.server.signals import has_terminal
from app.server.sockets import refuse_new_clients
from app.server.stderr import drain_stderr
from app.server.worker import SPREAD, Reporter
from app.stopping import Stopping

log = logging.getLogger("zserve")

_BEAT_S = 1.0
_CLOSE_S = 5.0
"""Longest time (s) that the app may take to close, after all requests have ended."""
_STOP = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """Serves open sockets until a signal comes, alone or as a worker with a reporter."""

    def __init__(
        self,
        config: uvicorn.Config,
        stopping: Stopping,
        *,
        delay_s: float = 0.0,
        reporter: Reporter | None = None,
    ) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._delay_s = delay_s
        self._reporter = reporter
        self._last_signal: int | None = None
        self._had_terminal = has_terminal()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the app, start to listen, and log the address."""
        loop = asyncio.get_running_loop()
        if self._reporter is not None:
            self._beat(loop, self._reporter)
            loop.add_signal_handler(SPREAD, shed, self.server_state, self._reporter.workers)
        await super().startup(sockets)
        freeze_gc()
        if not self.started:
            return
        if self._reporter is not None:
            self._reporter.ready()
        host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
        log.info("serving on http://%s:%d (docs at /docs)", host, self.config.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all requests that clients have sent, then close the app."""
        log.info("stopping")
        if self._reporter is None:
            self._stopping.announce()
            await asyncio.sleep(self._delay_s)
        if self._reporter is None or self._reporter.orphaned:  # else the supervisor does it
            refuse_new_clients(sockets or ())
        grace_s = self.config.timeout_graceful_shutdown
        drain = Drain(self, sockets or (), self._stopping)
        await drain.run(math.inf if grace_s is None else grace_s)
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self.lifespan.shutdown()
        except TimeoutError:
            log.error("the app was not closed within %g s", _CLOSE_S)  # noqa: TRY400 - expected

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGINT and SIGTERM, and on SIGHUP if a terminal was closed.

        A process that serves alone then ends by the signal that stopped it, as uvicorn does.
        """
        handlers: Mapping[int, Callable[[int, FrameType | None], None]] = {
            **dict.fromkeys(_STOP, self.handle_exit),
            **({} if self._reporter is not None else {signal.SIGHUP: self._hang_up}),
        }
        before: dict[int, Any] = {n: signal.signal(n, h) for n, h in handlers.items()}
        try:
            yield
        finally:
            drain_stderr()
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._last_signal is not None and self._reporter is None:
            signal.raise_signal(self._last_signal)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second SIGINT stops at once."""
        self._last_signal = sig
        super().handle_exit(sig, frame)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._had_terminal and not has_terminal():
            self.handle_exit(number, frame)
        else:
            log.warning("SIGHUP restarts workers; a service of one process has none to restart")

    def _beat(self, loop: asyncio.AbstractEventLoop, reporter: Reporter) -> None:
        reporter.beat(len(self.server_state.connections))
        loop.call_later(_BEAT_S, self._beat, loop, reporter)


def note_startup_failure(app: FastAPI, report: Callable[[str], None]) -> None:
    """Report the exception with which the start of the app fails."""
    lifespan = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def noting(app: FastAPI) -> AsyncIterator[Any]:
        started = False
        try:
            async with lifespan(app) as state:
                started = True
                yield state
        except Exception as error:
            if not started:
                report(f"{type(error).__name__}: {error}")
            raise

    app.router.lifespan_context = noting


def freeze_gc() -> None:
    """Exclude the objects that exist now from garbage collection.

    Most of them belong to torch and live as long as the process; visiting them takes 0.1 s in each
    full collection. Before a fork this also keeps their memory pages shared with the child.
    """
    gc.collect()
    gc.freeze()
