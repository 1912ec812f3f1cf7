"""An event loop whose clock tests turn: time jumps to the next timer instead of passing."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """Never sleeps: when all tasks wait, its clock is set to the time of the next timer.

    `delays` are those of all timers that were set, in seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delays: list[float] = []
        self._now = 0.0
        selector = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def jump(timeout: float | None) -> Any:
            events = select(0 if timeout is not None else None)
            if not events and timeout:
                self._now += max(timeout, 1e-6)  # less could be lost in rounding
            return events

        selector.select = jump

    def time(self) -> float:
        """Seconds since the loop was created."""
        return self._now

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Record the delay."""
        self.delays.append(delay)
        return super().call_later(delay, callback, *args, context=context)


def run_turning_the_clock(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a JumpingLoop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(main)
