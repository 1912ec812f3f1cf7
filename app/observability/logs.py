"""Logs: lines for people or JSON for machines, each with the request that it belongs to."""

import asyncio
import json
import logging
import re
import secrets
import sys
import time
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Self

from opentelemetry.trace import get_current_span
from uvicorn.config import LOGGING_CONFIG

LogFormat = Literal["text", "json"]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Trace:
    """Our part of a distributed trace: https://www.w3.org/TR/trace-context/."""

    trace_id: str
    parent_id: str
    span_id: str
    flags: str

    @classmethod
    def continued(cls, traceparent: str) -> Self | None:
        """A child of the span that a caller named; None where the header is missing or wrong."""
        match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if match is None or not int(match[1], 16) or not int(match[2], 16):
            return None
        return cls(match[1], match[2], secrets.token_hex(8), match[3])

    @classmethod
    def current(cls, traceparent: str) -> Self | None:
        """The span that OpenTelemetry records now, else a child of the caller's."""
        continued = cls.continued(traceparent)
        span = get_current_span()
        if not span.is_recording():
            return continued
        of = span.get_span_context()
        parent_id = "0" * 16 if continued is None else continued.parent_id
        return cls(f"{of.trace_id:032x}", parent_id, f"{of.span_id:016x}", f"{of.trace_flags:02x}")

    @property
    def traceparent(self) -> str:
        """What to pass on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


@dataclass(frozen=True, slots=True)
class RequestLabels:
    """What every line of a log says about the request."""

    request_id: str
    trace: Trace | None = None


REQUEST: ContextVar[RequestLabels | None] = ContextVar("request", default=None)
"""The request that this task handles."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A line without its end."""
        line: dict[str, Any] = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        labels = REQUEST.get()
        if labels is not None:
            line["request_id"] = labels.request_id
            if labels.trace is not None:
                line["trace_id"] = labels.trace.trace_id
                line["span_id"] = labels.trace.span_id
                line["parent_id"] = labels.trace.parent_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Answered(NamedTuple):
    """What a line says of a request that was answered; seconds in all, of wait, and of tiles."""

    method: str
    path: str
    status: int
    seconds: float
    queue_s: float
    inference_s: float


class _Entry(NamedTuple):
    at: float
    labels: RequestLabels
    of: Answered


class RequestLog:
    """A line for each request, at level info.

    `logging` takes about 40 microseconds a line, a tenth of what a request for 16 images costs;
    these are composed and written together, at the latest after PATIENCE_S.
    """

    PATIENCE_S = 0.1

    def __init__(self, log_format: LogFormat) -> None:
        self._compose = _json_line if log_format == "json" else _text_line
        self._entries: list[_Entry] = []

    def add(self, answered: Answered) -> None:
        """Note one answer; call it from the event loop, within the task of the request."""
        if not self._entries:
            asyncio.get_running_loop().call_later(self.PATIENCE_S, self.flush)
        labels = REQUEST.get() or RequestLabels("none")
        self._entries.append(_Entry(time.time(), labels, answered))

    def flush(self) -> None:
        """Write what is waiting."""
        entries, self._entries = self._entries, []
        sys.stderr.write("".join(map(self._compose, entries)))
        sys.stderr.flush()


def _text_line(entry: _Entry) -> str:
    of = entry.of
    return (
        f"INFO:     {of.method} {of.path!r} {of.status} in {of.seconds * 1e3:.1f} ms, "
        f"request {entry.labels.request_id}\n"
    )


def _json_line(entry: _Entry) -> str:
    """All but the path is known to need no escapes."""
    of, trace = entry.of, entry.labels.trace
    traced = (
        ""
        if trace is None
        else f'"trace_id": "{trace.trace_id}", "span_id": "{trace.span_id}", '
        f'"parent_id": "{trace.parent_id}", '
    )
    return (
        f'{{"time": "{_iso(entry.at)}", "level": "info", "logger": "zserve.access", '
        f'"message": "answered", "request_id": "{entry.labels.request_id}", {traced}'
        f'"method": "{of.method}", "path": {json.dumps(of.path)}, "status": {of.status}, '
        f'"duration_ms": {of.seconds * 1e3:.3f}, "queue_ms": {of.queue_s * 1e3:.3f}, '
        f'"inference_ms": {of.inference_s * 1e3:.3f}}}\n'
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def log_config(log_format: LogFormat, level: str) -> dict[str, Any]:
    """uvicorn's own loggers, and `zserve` beside them in the same form."""
    own = {"handlers": ["default"], "level": level.upper(), "propagate": False}
    config = LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | {"zserve": own}}
    if log_format == "json":
        formatter = {"()": "app.observability.logs.JsonFormatter"}
        config["formatters"] = {"default": formatter, "access": formatter}
    return config
