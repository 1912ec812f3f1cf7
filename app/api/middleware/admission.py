"""Name the client of a request to the engine, and refuse requests of an overloaded service early."""

from types import SimpleNamespace

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.gate import Gate, route_pattern
from app.api.middleware.headers import header
from app.api.paths import path_in_app, root_path
from app.errors import QueueFullError
from app.inference.admission import TICKET, Ticket


class AdmissionMiddleware:
    """Give each request a ticket; refuse what would wait too long, before its body is read.

    Conditional requests pass, because a 304 needs no computation.
    """

    def __init__(self, app: ASGIApp, *, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            client = scope.get("client")
            name = client[0] if client else ""
            TICKET.set(Ticket(name))
            if self._gate.overloaded and not header(scope, b"if-none-match"):
                error = self._gate.refusal(path_in_app(scope), scope["query_string"], name)
                if error is not None:
                    await self._refuse(error, scope, send)
                    return
        await self._app(scope, receive, send)

    async def _refuse(self, error: QueueFullError, scope: Scope, send: Send) -> None:
        """Answer with a problem, and note its type and its route for the metrics."""
        scope["state"]["problem"] = "queue-full"
        path = path_in_app(scope)
        scope["route"] = SimpleNamespace(path=route_pattern(path))
        request_id = scope["state"]["request_id"]
        answer = self._gate.answer(error, path, request_id, root_path=root_path(scope))
        await answer.send(send, scope["method"])
