"""Request ids, traces, and the answer to exceptions that nothing else caught."""

import logging
import re
import secrets

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.headers import header
from app.api.problems import is_out_of_files, respond
from app.api.security_headers import security_headers
from app.observability.logs import REQUEST, RequestLabels
from app.observability.tracing import Trace

log = logging.getLogger("zserve")

VALID_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
"""Pattern of the request ids of clients that are used; others are replaced."""


class RequestContextMiddleware:
    """Assign a request id, continue the trace, and turn uncaught exceptions into a 500 problem.

    The id is returned in X-Request-ID. A client may send its own id in that header; an id that
    could not be logged safely is replaced. A trace in `traceparent` is continued: log and answer
    name a span of the service within it, or OpenTelemetry's span if OpenTelemetry traces requests.
    Security headers, which limit what a browser may do with an answer, are added to every answer.
    """

    def __init__(self, app: ASGIApp, *, tracing: bool, frame_ancestors: str = "") -> None:
        self._app = app
        self._headers = security_headers(frame_ancestors)
        self._trace_of = Trace.current if tracing else Trace.continued

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        client_id = header(scope, b"x-request-id")
        request_id = client_id if VALID_ID.fullmatch(client_id) else secrets.token_hex(8)
        trace = self._trace_of(header(scope, b"traceparent"))
        scope.setdefault("state", {})["request_id"] = request_id
        if scope.get("root_path"):
            scope["state"]["root_path"] = scope["root_path"]
        REQUEST.set(RequestLabels(request_id, trace))
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [
                    *message.get("headers", ()),
                    *self._headers,
                    (b"x-request-id", request_id.encode()),
                ]
                if trace is not None:
                    headers.append((b"traceparent", trace.traceparent.encode()))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            log.info("request %s: the client disconnected before its body was read", request_id)
        except Exception as error:
            where = request_id, scope["method"], scope["path"]
            if is_out_of_files(error):
                log.error("request %s %s %s failed: no file descriptor is left", *where)  # noqa: TRY400
            else:
                log.exception("request %s %s %s failed", *where)
            if started:
                raise
            await respond(Request(scope), error)(scope, receive, send_with_id)
