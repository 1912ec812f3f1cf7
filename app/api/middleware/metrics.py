"""Metrics, timing headers and log lines of requests."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import ProblemType, is_out_of_files
from app.observability.logs import Answered, RequestLabels, RequestLog
from app.observability.metrics import TIMES, Telemetry, Times

_CLIENT_DISCONNECTED = 499
"""Status for metrics and log if no answer was sent; nginx logs the same number."""


class MetricsMiddleware:
    """Count, time and log each request; add timing headers (milliseconds) to its answer."""

    def __init__(
        self, app: ASGIApp, *, telemetry: Telemetry, request_log: RequestLog | None
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._request_log = request_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        times = Times()
        TIMES.set(times)
        status = 0

        async def send_with_times(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if times.calls:
                    headers = (
                        *message.get("headers", ()),
                        (b"x-queue-time", b"%.3f" % (times.queue_s * 1e3)),
                        (b"x-inference-time", b"%.3f" % (times.inference_s * 1e3)),
                    )
                    message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_times)
        except Exception as error:
            status = status or (503 if is_out_of_files(error) else 500)
            raise
        finally:
            self._record(scope, status, time.perf_counter() - begin, times)

    def _record(self, scope: Scope, status: int, seconds: float, times: Times) -> None:
        """Record the request; `status` is 0 if the client disconnected before an answer."""
        if status == 0:
            self._telemetry.client_left()
            status = _CLIENT_DISCONNECTED
        path = getattr(scope.get("route"), "path", "other")
        self._telemetry.answered(
            scope["method"], path, status, seconds, scope["state"].get("problem")
        )
        if self._request_log is not None:
            client = scope.get("client")
            self._request_log.add(
                Answered(
                    client[0] if client else "unknown",
                    scope["method"],
                    scope["path"],
                    status,
                    seconds,
                    times.queue_s,
                    times.inference_s,
                )
            )


def record_refusal(
    telemetry: Telemetry | None,
    request_log: RequestLog | None,
    kind: ProblemType,
    client: tuple[str, int] | None,
    request_id: str,
) -> None:
    """Count and log a request that the server refused before it reached the app."""
    if telemetry is not None:
        telemetry.refused(kind.status, kind.slug)
        if request_log is not None:
            answered = Answered(client[0] if client else "unknown", "-", "-", kind.status, 0, 0, 0)
            request_log.add(answered, RequestLabels(request_id))
