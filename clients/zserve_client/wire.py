"""What is said over the wire, as values: calls, replies, and when to ask again. No input, no output.

An operation is a generator: it yields calls, is sent their replies, and returns its result. The
two clients differ in how they carry a call and in nothing else.
"""

import json
import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from zserve_client.errors import UnexpectedAnswerError, problem_error

T = TypeVar("T")

BUSY = (429, 503)
"""Statuses that mean: the same request may succeed later."""


@dataclass(frozen=True)
class Call:
    """One request. With `into`, the body of a good answer goes to that file, piece by piece."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[tuple[str, tuple[str, bytes]]] = ()
    json: Any = None
    into: Path | None = None
    again: bool = True


@dataclass(frozen=True)
class Reply:
    """One answer; names of headers are lower case, and the content is empty if it went to a file."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Steps = Generator[Call, Reply, T]


@dataclass(frozen=True)
class Done(Generic[T]):
    """What an operation came to."""

    value: T


def advance(steps: Steps[T], reply: Reply | None) -> Call | Done[T]:
    """The next call of an operation, or its result; the first reply is None."""
    try:
        return next(steps) if reply is None else steps.send(reply)
    except StopIteration as stop:
        return Done(stop.value)


def ask(call: Call) -> Steps[Reply]:
    """Make one call; raises ProblemError where the answer is a problem."""
    reply = yield call
    if reply.status >= 400:
        raise problem_error(_problem(reply), reply.status, retry_after_s(reply.headers))
    return reply


def ask_json(call: Call) -> Steps[Any]:
    """Make one call and read its JSON; raises ProblemError and UnexpectedAnswerError."""
    reply = yield from ask(call)
    try:
        return json.loads(reply.content)
    except ValueError as error:
        raise UnexpectedAnswerError(
            f"{call.path} was answered with {reply.headers.get('content-type', 'nothing')!r} "
            "instead of JSON; is this address a zserve?"
        ) from error


def as_params(**given: object) -> dict[str, str]:
    """Parameters of a query: None is left out, lists are joined by commas."""
    return {name: _text(value) for name, value in given.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(item) for item in value)
    return str(value)


def _problem(reply: Reply) -> Mapping[str, Any]:
    """The problem of an answer; where a proxy answered instead, its own words."""
    try:
        problem = json.loads(reply.content)
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    words = " ".join(reply.content.decode(errors="replace").split())[:200]
    return {"detail": f"HTTP status {reply.status}: {words}" if words else ""}


# --- asking again ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Patience:
    """How often to ask again, and the longest single wait.

    A Retry-After beyond `longest_wait_s` is not waited for: the caller should hear of it.
    """

    retries: int = 3
    longest_wait_s: float = 30.0

    def wait_s(self, asked: int, headers: Mapping[str, str]) -> float | None:
        """Seconds until the next try after `asked` of them, None to give up.

        As long as Retry-After says; without one 0.25 s, doubled each time, and up to half less so
        that clients that were refused together do not come back together.
        """
        if asked > self.retries:
            return None
        told = retry_after_s(headers)
        if told is not None:
            return told if told <= self.longest_wait_s else None
        longest = min(0.25 * 2.0 ** (asked - 1), self.longest_wait_s)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - guards nothing


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from a Retry-After, which may be a date: RFC 9110 section 10.2.3."""
    text = headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())
