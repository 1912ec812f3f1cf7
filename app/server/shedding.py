"""Refuse requests of an overloaded service in the protocol, before a task is started for them.

Under an overload by a factor of five, four of five requests are refused, and the time that refusals
take is lost for answers. A refusal by the protocol takes a small part of the time that the app's
middleware and a task take. The answer is the same.
"""

import asyncio
import contextlib
import secrets
import time
from typing import TYPE_CHECKING, Any, cast

from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.api.middleware.request_context import VALID_ID
from app.api.security_headers import SECURITY_HEADERS

if TYPE_CHECKING:  # it imports prometheus_client, which serve_workers must not do
    from app.api.gate import Gate, Refusal

_FOR_THE_APP = frozenset(
    {b"if-none-match", b"traceparent", b"x-forwarded-for", b"x-forwarded-prefix"}
)
"""Headers of requests that the app refuses, if anything does.

A 304 needs no computation, traces are continued, and behind a proxy the app knows the client and the
path.
"""


class SheddingProtocol(HttpToolsProtocol):
    """Asks the gate of the app, `app.state.gate`, before it starts the app for a request."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        state = getattr(config.app, "state", None)
        self.gate: Gate | None = getattr(state, "gate", None)  # an app without one refuses nothing
        if getattr(getattr(state, "settings", None), "root_path", ""):
            self.gate = None  # the app knows which part of a path is its own

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        gate = self.gate
        if gate is None or not gate.overloaded or not self._is_refused(gate, cycle):
            super()._start_asgi_task(cycle, app)

    def _is_refused(self, gate: "Gate", cycle: RequestResponseCycle) -> bool:
        """Answer the request if it is refused; return False if the app must answer it."""
        if self.flow.write_paused:
            return False  # sending the answer would have to wait
        began = time.perf_counter()
        scope = cycle.scope
        client_id = ""
        for name, value in scope["headers"]:
            if name in _FOR_THE_APP:
                return False
            if name == b"x-request-id":
                client_id = value.decode("latin-1")
        address = scope["client"]
        client, path = address[0] if address else "", scope["path"]
        error = gate.refusal(path, scope["query_string"], client, announce=True)
        if error is None:
            return False
        request_id = client_id if VALID_ID.fullmatch(client_id) else secrets.token_hex(8)
        answer = gate.answer(error, path, request_id)
        answer.headers.extend((*SECURITY_HEADERS, (b"x-request-id", request_id.encode())))
        self._write(cycle, answer)
        seconds = time.perf_counter() - began
        gate.record(client, scope["method"], path, request_id, seconds)
        return True

    def _write(self, cycle: RequestResponseCycle, answer: "Refusal") -> None:
        """Send the answer with one call of the system; the cycle writes headers and body singly."""
        joined, on_response = _JoinedWrites(), cycle.on_response
        cycle.transport, cycle.on_response = cast(asyncio.Transport, joined), _do_nothing
        with contextlib.suppress(StopIteration):
            answer.send(cycle.send, cycle.scope["method"]).send(None)  # it awaits nothing
        cycle.transport = self.transport
        self.transport.write(b"".join(joined.parts))
        if joined.closed:
            self.transport.close()
        on_response()


class _JoinedWrites:
    """The part of a transport that an answer needs; collects what is written."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        """Collect a part."""
        self.parts.append(data)

    def close(self) -> None:
        """Close the connection after the answer."""
        self.closed = True


def _do_nothing() -> None:
    pass
