import asyncio
from contextvars import ContextVar

from app.deadlines import DeadlineTimer
from tests.clock import JumpingLoop, run_turning_the_clock

REQUEST = ContextVar("request", default="none")


def late_items(cancelled: str | None = None, *, closed: bool = False) -> list[tuple[str, float]]:
    """Three items, started one second apart, and the times at which they are late."""
    late: list[tuple[str, float]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        deadlines = DeadlineTimer[str](10.0, lambda item: late.append((item, round(loop.time()))))
        for name in ("first", "second", "third"):
            deadlines.start(name)
            await asyncio.sleep(1.0)
        if cancelled is not None:
            deadlines.cancel(cancelled)
        if closed:
            deadlines.close()
        await asyncio.sleep(100.0)

    run_turning_the_clock(run())
    return late


def test_every_item_is_late_once_after_the_grace_the_oldest_first() -> None:
    assert late_items() == [("first", 10), ("second", 11), ("third", 12)]


def test_a_cancelled_item_is_not_late() -> None:
    assert late_items(cancelled="second") == [("first", 10), ("third", 12)]


def test_nothing_is_late_after_close() -> None:
    assert late_items(closed=True) == []


def test_an_error_for_one_item_does_not_stop_the_timer() -> None:
    late: list[int] = []

    def fail_for_the_first(item: int) -> None:
        late.append(item)
        if item == 1:
            raise RuntimeError("for the first")

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        deadlines = DeadlineTimer(5.0, fail_for_the_first)
        for item in (1, 2):
            deadlines.start(item)
            await asyncio.sleep(1.0)
        await asyncio.sleep(20.0)
        deadlines.start(3)
        await asyncio.sleep(20.0)

    run_turning_the_clock(run())
    assert late == [1, 2, 3]


def test_items_that_start_again_when_they_are_late_share_one_timer() -> None:
    late: list[int] = []

    async def run() -> int:
        def start_again(item: int) -> None:
            late.append(item)
            if len(late) < 6:
                deadlines.start(item)

        deadlines = DeadlineTimer(2.0, start_again)
        deadlines.start(7)
        deadlines.start(8)
        await asyncio.sleep(100.0)
        return timers_set() - 1

    timers = run_turning_the_clock(run())
    assert late == [7, 8, 7, 8, 7, 8, 7]
    assert timers <= len(late) + 1


def test_a_second_event_loop_takes_over_after_the_first_ended_with_an_item_running() -> None:
    late: list[int] = []
    deadlines = DeadlineTimer(1.0, late.append)

    async def start(item: int, wait_s: float) -> None:
        deadlines.start(item)
        await asyncio.sleep(wait_s)

    run_turning_the_clock(start(1, 0.0))
    run_turning_the_clock(start(2, 30.0))
    assert late == [1, 2]


def test_many_items_share_one_timer() -> None:
    async def run() -> None:
        deadlines = DeadlineTimer[int](60.0, lambda _: None)
        for item in range(100):
            deadlines.start(item)
            deadlines.cancel(item)
        deadlines.close()
        assert timers_set() == 1

    run_turning_the_clock(run())


def test_the_context_of_the_request_that_set_the_timer_is_not_kept() -> None:
    contexts: list[str] = []

    async def run() -> None:
        REQUEST.set("the first")
        deadlines = DeadlineTimer[int](1.0, lambda _: contexts.append(REQUEST.get()))
        deadlines.start(1)
        await asyncio.sleep(5.0)

    run_turning_the_clock(run())
    assert contexts == ["none"]


def timers_set() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    return len(loop.delays)
