"""Run work that would block the event loop for too long in a thread beside it."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

LARGE_TEXT_BYTES = 65_536
"""Bytes of a body from which on it is parsed beside the event loop; less takes under 1 ms."""

LARGE_NUMBERS = 32_768
"""Numbers from which on latents are drawn or moved beside the event loop; fewer take under 5 ms."""


NO_LOOP: ContextVar[bool] = ContextVar("no_loop", default=False)
"""True while a program computes in its own thread, where there is no event loop to hold."""


async def call(work: Callable[[], T], *, off_loop: bool) -> T:
    """Call a function: in a thread, or at once on the event loop, which is faster for short work."""
    return await asyncio.to_thread(work) if off_loop and not NO_LOOP.get() else work()
