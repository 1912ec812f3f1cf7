import asyncio
from typing import Any

import pytest

from app.deadlines import Patience


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays of the timers that a Patience sets."""
    delays: list[float] = []
    call_later = asyncio.BaseEventLoop.call_later

    def noted(
        loop: asyncio.BaseEventLoop, delay: float, call: Any, *rest: Any, **more: Any
    ) -> asyncio.TimerHandle:
        if call.__qualname__.startswith("Patience."):
            delays.append(delay)
        return call_later(loop, delay, call, *rest, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", noted)
    return delays


def late_ones(leaving: str | None = None, *, closed: bool = False) -> list[str]:
    """Who of three is late that began to wait one after the other, where one may leave."""
    late: list[str] = []

    async def run() -> None:
        patience = Patience(0.2, late.append)
        for name in ("first", "second", "third"):
            patience.begin(name)
            await asyncio.sleep(0.01)
        if leaving is not None:
            patience.end(leaving)
        if closed:
            patience.close()
        await asyncio.sleep(0.4)

    asyncio.run(run())
    return late


def test_who_waits_too_long_is_late_once_the_oldest_first() -> None:
    assert late_ones() == ["first", "second", "third"]


def test_who_was_answered_in_time_is_not_late() -> None:
    assert late_ones(leaving="second") == ["first", "third"]


def test_nobody_is_late_after_the_end() -> None:
    assert late_ones(closed=True) == []


def test_one_call_that_fails_does_not_stop_the_clock() -> None:
    late: list[int] = []

    def call(who: int) -> None:
        late.append(who)
        if who == 1:
            raise RuntimeError("of the first")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        patience = Patience(0.05, call)
        patience.begin(1)
        await asyncio.sleep(0.02)
        patience.begin(2)
        await asyncio.sleep(0.2)
        patience.begin(3)
        await asyncio.sleep(0.2)

    asyncio.run(run())
    assert late == [1, 2, 3]


def test_those_who_are_late_may_begin_to_wait_again_with_one_timer_still(
    armed: list[float],
) -> None:
    calls: list[int] = []

    async def run() -> None:
        def again(who: int) -> None:
            calls.append(who)
            if len(calls) < 6:
                patience.begin(who)

        patience = Patience(0.02, again)
        patience.begin(7)
        patience.begin(8)
        await asyncio.sleep(0.4)

    asyncio.run(run())
    assert calls == [7, 8, 7, 8, 7, 8, 7]
    assert len(armed) <= len(calls) + 1


def test_a_second_event_loop_takes_over_where_the_first_ended_while_one_waited() -> None:
    late: list[int] = []
    patience = Patience(0.01, late.append)

    async def begin(who: int, wait_s: float) -> None:
        patience.begin(who)
        await asyncio.sleep(wait_s)

    asyncio.run(begin(1, 0.0))
    asyncio.run(begin(2, 0.3))
    assert late == [1, 2]


def test_many_waits_have_one_timer(armed: list[float]) -> None:
    async def run() -> None:
        patience = Patience[int](60.0, lambda _: None)
        for who in range(100):
            patience.begin(who)
            patience.end(who)
        patience.close()

    asyncio.run(run())
    assert armed == [60.0]
