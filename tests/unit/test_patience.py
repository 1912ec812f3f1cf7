import asyncio
from typing import Any

import pytest

from app.patience import Patience


def waited(seconds: float, leave: int = 3) -> list[str]:
    """Who is late of three that began 20 ms after each other, where one may leave after 10 ms."""
    late: list[str] = []

    async def run() -> None:
        patience = Patience(0.1, late.append)
        names = ["first", "second", "third"]
        for place, name in enumerate(names):
            patience.begin(name)
            await asyncio.sleep(0.01)
            if place == leave:
                patience.end(name)
            await asyncio.sleep(0.01)
        await asyncio.sleep(seconds)
        patience.close()

    asyncio.run(run())
    return late


def test_who_waits_too_long_is_late_once_the_oldest_first() -> None:
    assert waited(0.3) == ["first", "second", "third"]


def test_who_was_answered_in_time_is_not_late() -> None:
    assert waited(0.3, leave=1) == ["first", "third"]


def test_nobody_is_late_after_the_end() -> None:
    assert waited(0.0) == []


def test_one_that_is_late_may_begin_to_wait_again() -> None:
    calls: list[int] = []

    async def run() -> None:
        def again(who: int) -> None:
            calls.append(who)
            if len(calls) < 3:
                patience.begin(who)

        patience = Patience(0.01, again)
        patience.begin(7)
        await asyncio.sleep(0.3)

    asyncio.run(run())
    assert calls == [7, 7, 7]


def test_a_second_event_loop_takes_over_where_the_first_ended_while_one_waited() -> None:
    late: list[int] = []
    patience = Patience(0.01, late.append)

    async def begin(who: int, wait_s: float) -> None:
        patience.begin(who)
        await asyncio.sleep(wait_s)

    asyncio.run(begin(1, 0.0))
    asyncio.run(begin(2, 0.3))
    assert late == [1, 2]


def test_many_waits_have_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def counted(delay: float, *call: Any) -> asyncio.TimerHandle:
            armed.append(delay)
            return call_later(delay, *call)

        monkeypatch.setattr(loop, "call_later", counted)
        patience = Patience[int](60.0, armed.append)
        for who in range(100):
            patience.begin(who)
            patience.end(who)
        patience.close()

    asyncio.run(run())
    assert armed == [60.0]
