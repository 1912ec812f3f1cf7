"""When a request is sent again, and after how many seconds."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

BUSY = (429, 503)
"""HTTP statuses after which the same request may succeed later."""
BROKEN_CONNECTION = (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError)
"""Errors after which the same request may succeed. A read timeout is not one of them."""
FIRST_WAIT_S = 0.25


@dataclass(frozen=True)
class RetryPolicy:
    """Decide whether and when to repeat a request.

    Attributes:
        retries: Maximum number of repetitions.
        longest_wait_s: Longest wait in seconds. A request whose Retry-After is longer is not
            repeated, so that the caller can decide what to do.
        jitter: Draws the wait between two bounds in seconds.
    """

    retries: int = 3
    longest_wait_s: float = 30.0
    jitter: Callable[[float, float], float] = random.uniform

    def after_reply(self, attempt: int, status: int, headers: Mapping[str, str]) -> float | None:
        """Return the seconds to wait after a reply, or None to keep the reply.

        `attempt` is 1 for the first reply. Retry-After is followed exactly if it is present.
        """
        if status not in BUSY or attempt > self.retries:
            return None
        requested_s = retry_after_s(headers)
        if requested_s is None:
            return self._backoff_s(attempt)
        return requested_s if requested_s <= self.longest_wait_s else None

    def after_error(self, attempt: int, error: httpx.HTTPError) -> float | None:
        """Return the seconds to wait after a failed connection, or None to give up."""
        if not isinstance(error, BROKEN_CONNECTION) or attempt > self.retries:
            return None
        return self._backoff_s(attempt)

    def _backoff_s(self, attempt: int) -> float:
        """Return a random wait in seconds, whose bounds double with each attempt.

        Without randomness, clients that were refused at the same time would retry at the same time.
        """
        longest_s = min(FIRST_WAIT_S * 2.0 ** (attempt - 1), self.longest_wait_s)
        return self.jitter(longest_s / 2, longest_s)


NO_RETRIES = RetryPolicy(retries=0)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds in a Retry-After header, which may hold a date (RFC 9110, 10.2.3)."""
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
