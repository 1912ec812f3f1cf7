"""Distributed traces: continue the trace of a caller, https://www.w3.org/TR/trace-context/."""

import re
import secrets
from dataclasses import dataclass
from typing import Self

from opentelemetry.trace import get_current_span

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class Trace:
    """The span of this service within a distributed trace."""

    trace_id: str
    parent_id: str
    span_id: str
    flags: str

    @classmethod
    def continued(cls, traceparent: str) -> Self | None:
        """Make a child of the caller's span; None if the header is missing or malformed."""
        match = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        if match is None or not int(match[1], 16) or not int(match[2], 16):
            return None
        return cls(match[1], match[2], secrets.token_hex(8), match[3])

    @classmethod
    def current(cls, traceparent: str) -> Self | None:
        """Return the span that OpenTelemetry records now, else a child of the caller's span."""
        continued = cls.continued(traceparent)
        span = get_current_span()
        if not span.is_recording():
            return continued
        context = span.get_span_context()
        parent_id = "0" * 16 if continued is None else continued.parent_id
        return cls(
            f"{context.trace_id:032x}",
            parent_id,
            f"{context.span_id:016x}",
            f"{context.trace_flags:02x}",
        )

    @property
    def traceparent(self) -> str:
        """The header that passes this span on."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"
