"""The retry policy: which requests are repeated, and after how many seconds."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from zserve_client._retry import RetryPolicy, retry_after_s

UPPER = RetryPolicy(retries=8, longest_wait_s=2, jitter=lambda _low, high: high)


def test_waits_double_up_to_the_longest_and_then_end():
    waits = [UPPER.after_reply(attempt, 503, {}) for attempt in range(1, 10)]
    assert waits == [0.25, 0.5, 1, 2, 2, 2, 2, 2, None]
    assert [UPPER.after_error(attempt, httpx.ReadError("")) for attempt in (1, 2, 9)] == [
        0.25,
        0.5,
        None,
    ]


def test_a_wait_is_drawn_from_the_upper_half():
    lower = RetryPolicy(jitter=lambda low, _high: low)
    assert lower.after_reply(1, 503, {}) == 0.125
    drawn = {RetryPolicy().after_reply(1, 503, {}) for _ in range(20)}
    assert len(drawn) > 1
    assert all(wait is not None and 0.125 <= wait <= 0.25 for wait in drawn)


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_followed_exactly_up_to_the_longest_wait(status: int):
    policy = RetryPolicy(longest_wait_s=30)
    assert policy.after_reply(1, status, {"retry-after": "30"}) == 30
    assert policy.after_reply(1, status, {"retry-after": "31"}) is None


@pytest.mark.parametrize("status", [200, 304, 400, 404, 422, 500, 502])
def test_a_reply_with_another_status_is_kept(status: int):
    assert RetryPolicy().after_reply(1, status, {"retry-after": "0"}) is None


@pytest.mark.parametrize("error", [httpx.ReadTimeout(""), httpx.UnsupportedProtocol("")])
def test_a_timeout_and_a_wrong_address_are_final(error: httpx.HTTPError):
    assert RetryPolicy().after_error(1, error) is None


def test_retry_after_is_seconds_or_a_date():
    later = datetime.now(UTC) + timedelta(hours=1)
    assert retry_after_s({"retry-after": "7"}) == 7
    assert 3500 < (retry_after_s({"retry-after": format_datetime(later, usegmt=True)}) or 0) <= 3600
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None
