"""Logs: lines for people or JSON for machines, each with the request that it belongs to."""

import json
import logging
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

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
        match = _TRACEPARENT.fullmatch(traceparent)
        if match is None or not int(match[1], 16) or not int(match[2], 16):
            return None
        return cls(match[1], match[2], secrets.token_hex(8), match[3])

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
    """One JSON object a line; what was given as `extra={"facts": {...}}` is part of it."""

    def format(self, record: logging.LogRecord) -> str:
        """A line without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
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
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_config(log_format: LogFormat, level: str) -> dict[str, Any]:
    """uvicorn's own loggers, and `zserve` beside them in the same form."""
    own = {"handlers": ["default"], "level": level.upper(), "propagate": False}
    config = LOGGING_CONFIG | {"loggers": LOGGING_CONFIG["loggers"] | {"zserve": own}}
    if log_format == "json":
        formatter = {"()": "app.logs.JsonFormatter"}
        config["formatters"] = {"default": formatter, "access": formatter}
    return config
