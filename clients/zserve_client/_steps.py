"""Operations of several requests that are written once for both clients.

Such an operation is a generator: it yields requests, receives their replies, and returns its
result. The transports send the requests.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Generic, TypeVar

from zserve_client._requests import Request
from zserve_client._responses import Reply

T = TypeVar("T")
Steps = Generator[Request, Reply, T]


@dataclass(frozen=True)
class Finished(Generic[T]):
    """The result of an operation."""

    result: T


def advance(steps: Steps[T], reply: Reply | None) -> Request | Finished[T]:
    """Return the next request of an operation, or its result; the first reply is None."""
    try:
        return next(steps) if reply is None else steps.send(reply)
    except StopIteration as stop:
        return Finished(stop.value)
