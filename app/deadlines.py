"""One timer for all who wait, since a timer for each request would cost more than its headers."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")

_TICK_S = 0.001
"""Clocks of event loops may count in milliseconds, and timers ring that much early."""


class Patience(Generic[T]):
    """Calls `late` once for each of those that are still waiting after so many seconds.

    Call it from one event loop at a time: after the first has ended, another may take over.
    """

    def __init__(self, seconds: float, late: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._late = late
        self._since: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, who: T) -> None:
        """The wait of one who is not waiting yet begins."""
        loop = asyncio.get_running_loop()
        self._since[who] = loop.time()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = self._ring(loop, self._seconds)

    def end(self, who: T) -> None:
        """It waits no more; said again, or of one that was late, it means nothing."""
        self._since.pop(who, None)

    def close(self) -> None:
        """Nobody of these is late any more."""
        self._since.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call for those whose time is over; the first of the others is the next to be over."""
        begun = loop.time() - self._seconds + _TICK_S
        late = [who for who, _ in takewhile(lambda each: each[1] <= begun, self._since.items())]
        for who in late:
            del self._since[who]
        oldest = next(iter(self._since.values()), None)
        self._timer = None if oldest is None else self._ring(loop, oldest - begun)
        for who in late:
            self._late(who)

    def _ring(self, loop: asyncio.AbstractEventLoop, seconds: float) -> asyncio.TimerHandle:
        """Look then, in nobody's context: whose request sets the timer has nothing to do with it."""
        return loop.call_later(seconds, self._look, loop, context=Context())
