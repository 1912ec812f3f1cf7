"""Limits of rates, with a clock that only the test moves."""

import asyncio

import pytest

from app.access.access import client_of
from app.access.limiter import MemoryLimiter
from app.rates import Rate


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def limiter(rate: str, clock: Clock, **options: int) -> MemoryLimiter:
    return MemoryLimiter(Rate.parse(rate), clock=clock, **options)


def take(limit: MemoryLimiter, client: str = "a") -> float:
    return asyncio.run(limit.take(client))


@pytest.mark.parametrize(
    ("text", "count", "period_s"),
    [("10/minute", 10, 60), ("1/second", 1, 1), ("5000/hour", 5000, 3600), ("3/day", 3, 86400)],
)
def test_a_rate_is_read_and_written(text: str, count: int, period_s: float) -> None:
    rate = Rate.parse(text)
    assert (rate.count, rate.period_s) == (count, period_s)
    assert str(rate) == text


@pytest.mark.parametrize(
    "text", ["", "10", "0/minute", "-1/minute", "1.5/minute", "10/week", "10 / minute", "9" * 5000]
)
def test_a_text_that_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="10/minute"):
        Rate.parse(text)


def test_a_burst_of_the_whole_rate_is_allowed_and_one_more_has_to_wait_one_interval() -> None:
    limit = limiter("10/minute", Clock())
    assert [take(limit) for _ in range(10)] == [0.0] * 10
    assert take(limit) == pytest.approx(6.0)
    assert take(limit) == pytest.approx(6.0)  # a refused request costs nothing


def test_after_the_wait_that_was_returned_exactly_one_request_is_allowed() -> None:
    clock = Clock()
    limit = limiter("3/second", clock)
    while take(limit) == 0:
        pass
    for _ in range(50):
        clock.now_s += take(limit)
        assert take(limit) == 0
        assert take(limit) > 0


@pytest.mark.parametrize("pause_s", [0.01, 0.4, 1.0, 7.3])
def test_in_the_long_run_the_rate_is_kept(pause_s: float) -> None:
    clock = Clock()
    limit = limiter("5/second", clock)
    steps = 500
    allowed = 0
    for _ in range(steps):
        allowed += sum(take(limit) == 0 for _ in range(8))
        clock.now_s += pause_s
    offered, permitted = 8 * steps, 5 + 5 * pause_s * (steps - 1)
    assert allowed <= min(offered, permitted) + 1
    assert allowed >= min(offered, permitted, 5 * steps) - 1


def test_clients_do_not_share_an_allowance() -> None:
    limit = limiter("1/minute", Clock())
    assert [take(limit, client) for client in "abc"] == [0, 0, 0]
    assert take(limit, "a") > 0


def test_a_forgotten_client_has_its_whole_allowance() -> None:
    limit = limiter("2/minute", Clock())
    assert [take(limit), take(limit)] == [0, 0]
    asyncio.run(limit.forget("a"))
    assert [take(limit), take(limit)] == [0, 0]
    assert take(limit) > 0


def test_memory_is_bounded_while_clients_never_come_twice() -> None:
    limit = limiter("1/day", Clock(), max_clients=100)
    for i in range(10_000):
        assert take(limit, str(i)) == 0
    assert len(limit) <= 100


def test_idle_clients_are_dropped() -> None:
    clock = Clock()
    limit = limiter("1/second", clock)
    for i in range(1000):
        take(limit, str(i))
    clock.now_s += 2
    for i in range(1000):
        take(limit, f"new {i}")
    assert len(limit) == 1000
    clock.now_s += 2
    for _ in range(1000):
        take(limit, "one")
    assert len(limit) == 1


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (None, "local"),
        ("", "local"),
        ("testclient", "testclient"),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64_network(host: str | None, client: str) -> None:
    assert client_of(host) == client
