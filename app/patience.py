"""One timer for all who wait, since a timer for each request would cost more than its headers."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


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
        """Its wait begins."""
        loop = asyncio.get_running_loop()
        self._since[who] = loop.time()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._seconds, self._look, loop)

    def end(self, who: T) -> None:
        """It waits no more; said again, or of one that was late, it means nothing."""
        self._since.pop(who, None)

    def close(self) -> None:
        """Nobody is late any more."""
        self._since.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call for those whose time is over; the first of the others is the next to be over."""
        while self._since:
            who, since = next(iter(self._since.items()))
            rest = since + self._seconds - loop.time()
            if rest > 0:
                self._timer = loop.call_later(rest, self._look, loop)
                return
            del self._since[who]
            self._late(who)  # which may let it begin again
        self._timer = None
