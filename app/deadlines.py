"""Deadlines of many items with one timer: one timer per request would cost too much."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from itertools import takewhile
from typing import Generic, TypeVar

T = TypeVar("T")

_TICK_S = 0.001
"""Time (s) by which a timer may fire too early: event loops may count in milliseconds."""


class DeadlineTimer(Generic[T]):
    """Calls `on_late(item)` once for each item that was started `grace_s` ago and not cancelled.

    Use it from one event loop at a time. A later loop may take over after the first has ended.
    """

    def __init__(self, grace_s: float, on_late: Callable[[T], None]) -> None:
        self._grace_s = grace_s
        self._on_late = on_late
        self._started_at: dict[T, float] = {}  # in the order of insertion: the oldest is first
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self, item: T) -> None:
        """Start the time of an item that is not running."""
        loop = asyncio.get_running_loop()
        self._started_at[item] = loop.time()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = self._check_in(self._grace_s, loop)

    def cancel(self, item: T) -> None:
        """Stop the time of an item. Idempotent; does nothing once the item is late."""
        self._started_at.pop(item, None)

    def close(self) -> None:
        """Cancel all items."""
        self._started_at.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call `on_late` for the late items, and set the timer for the oldest of the others."""
        now = loop.time()
        latest_start = now - self._grace_s + _TICK_S
        late = [
            item
            for item, _ in takewhile(lambda each: each[1] <= latest_start, self._started_at.items())
        ]
        for item in late:
            del self._started_at[item]
        oldest = next(iter(self._started_at.values()), None)
        self._timer = None if oldest is None else self._check_in(oldest + self._grace_s - now, loop)
        for item in late:
            self._on_late(item)

    def _check_in(self, seconds: float, loop: asyncio.AbstractEventLoop) -> asyncio.TimerHandle:
        # In an empty context: otherwise the timer, and every call of `on_late`, would inherit the
        # context variables of the request that happened to start it.
        return loop.call_later(seconds, self._check, loop, context=Context())
