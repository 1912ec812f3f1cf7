"""Call the store from the event loop, in threads of its own.

A disk may be slow and a file lock may be held by another process. Neither may hold the event loop,
nor the threads that decode uploads.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

from app.errors import StoreTimeoutError
from model_store.spec import ModelRef
from model_store.store import Store, StoredModel

READERS = 2
"""Number of threads that resolve references and read aliases."""
TIMEOUT_S = 30.0
"""Longest time (s) that a caller waits for a call that is not a load."""
LOCK_TIMEOUT_S = 5.0
"""Longest time (s) that a promotion waits for other promotions and for the lock of the aliases."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class StoreThreads:
    """Coroutines over a store. Loads, reads and promotions do not wait for each other."""

    def __init__(
        self,
        store: Store,
        *,
        timeout_s: float = TIMEOUT_S,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        self.store = store
        self._timeout_s = timeout_s
        self._lock_timeout_s = lock_timeout_s
        self._readers = ThreadPoolExecutor(READERS, "store-read")
        self._loader = ThreadPoolExecutor(1, "store-load")
        self._writer = ThreadPoolExecutor(1, "store-write")

    async def read(self, call: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call a function that reads small files; raises StoreTimeoutError."""
        return await self._within(self._timeout_s, self._readers, call, *args)

    async def load(self, ref: ModelRef) -> StoredModel:
        """Load a version, which may take as long as it needs."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._loader, self.store.load, ref)

    async def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version; raises the errors of `Store.set_alias`, StoreTimeoutError.

        A promotion that could not begin in time is not made later either.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._lock_timeout_s

        def set_in_time() -> None:
            left_s = max(0.0, deadline - loop.time())
            self.store.set_alias(name, alias, version, lock_timeout_s=left_s)

        await self._within(self._timeout_s, self._writer, set_in_time)

    def close(self) -> None:
        """Drop calls that have not begun; a call that is running ends in its thread."""
        for pool in (self._readers, self._loader, self._writer):
            pool.shutdown(wait=False, cancel_futures=True)

    async def _within(
        self,
        timeout_s: float,
        pool: ThreadPoolExecutor,
        call: Callable[[*Ts], T],
        *args: *Ts,
    ) -> T:
        running = asyncio.get_running_loop().run_in_executor(pool, call, *args)
        try:
            # Not wait_for, which on Python 3.11 drops a cancellation that comes with the result.
            async with asyncio.timeout(timeout_s):
                return await running
        except TimeoutError as error:
            if not running.cancelled():
                raise  # an error of the call itself
            raise StoreTimeoutError(
                f"the store gave no answer within {timeout_s:g} s", limit=timeout_s
            ) from error
