"""Cancel the work of requests whose client has disconnected, and answer those that a stop cancels."""

import asyncio
import contextlib
import logging
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.deadlines import DeadlineTimer
from app.errors import ShuttingDownError
from app.stopping import Stopping

log = logging.getLogger("zserve")


class DisconnectMiddleware:
    """Cancel a request if its client disconnects, also after its whole body was read.

    If a stop of the service cancels the request, the answer is 503.

    A connection is watched only for requests that take longer than GRACE_S, which most do not.
    """

    GRACE_S = 0.05

    def __init__(self, app: ASGIApp, *, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping
        self._deadlines = DeadlineTimer(self.GRACE_S, self._start_watching)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        work = asyncio.current_task()
        if scope["type"] != "http" or work is None:
            await self._app(scope, receive, send)
            return
        watcher = _Watcher(receive, work)
        self._deadlines.start(watcher)
        try:
            await self._app(scope, watcher.receive, send)
        except asyncio.CancelledError:
            if self._stopping.cutting:
                error = ShuttingDownError("the service stopped before the answer was ready")
                with contextlib.suppress(RuntimeError):  # the answer has begun: it ends here
                    await respond(Request(scope), error)(scope, receive, send)
                return
            if not watcher.client_left or work.uncancel() > 0:
                raise
            log.info("request %s: the client disconnected", scope["state"]["request_id"])
        finally:
            self._deadlines.cancel(watcher)
            watcher.stop()

    def _start_watching(self, watcher: "_Watcher") -> None:
        """Watch the connection, or try again later if the app is still reading the body."""
        if watcher.body_read:
            watcher.start()
        else:
            self._deadlines.start(watcher)


class _Watcher:
    """Wait for the client's disconnect while the app works, and then cancel the app's task."""

    def __init__(self, receive: Receive, work: "asyncio.Task[Any]") -> None:
        self.client_left = False
        self.body_read = False
        self._receive = receive
        self._work = work
        self._task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """Pass on a message of the client, and note the end of its body."""
        message = await self._receive()
        self.body_read = self.body_read or not message.get("more_body", False)
        return message

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        self._work.cancel()
