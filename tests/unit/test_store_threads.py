"""Calls of the store beside the event loop: in time, and cancelled when they are told to be."""

import asyncio
import threading
import time
from pathlib import Path

import pytest

from app.errors import StoreTimeoutError
from app.inference.store_threads import StoreThreads
from model_store.errors import StoreBusyError
from model_store.store import Store


class Slow(Store):
    """A store whose promotions take a while, or end when they are let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.begun: list[str] = []
        self.first_begun = threading.Event()
        self.timeouts_s: list[float] = []
        self.released = threading.Event()

    def set_alias(
        self, name: str, alias: str, version: int, *, lock_timeout_s: float = 0.0
    ) -> None:
        self.begun.append(alias)
        self.first_begun.set()
        self.timeouts_s.append(lock_timeout_s)
        if not self.released.wait(lock_timeout_s):
            raise StoreBusyError(f"{name}@{alias} is locked")


@pytest.mark.parametrize("rounds", range(8))
def test_a_cancellation_is_not_dropped_if_it_comes_with_the_result(
    tmp_path: Path, rounds: int
) -> None:
    """Otherwise a service that is being stopped would watch its store for ever."""

    async def run() -> None:
        threads = StoreThreads(Store(tmp_path))
        returned = threading.Event()
        task = asyncio.create_task(threads.read(returned.set))
        await asyncio.sleep(0)
        assert returned.wait(10)
        time.sleep(0.01)  # noqa: ASYNC251 - the loop stands still, so that the result waits for it
        for _ in range(rounds):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task
        threads.close()

    asyncio.run(run())


def test_a_call_that_takes_too_long_is_an_error_that_names_the_time(tmp_path: Path) -> None:
    async def run() -> None:
        threads = StoreThreads(Store(tmp_path), timeout_s=0.05)
        released = threading.Event()
        with pytest.raises(StoreTimeoutError, match=r"no answer within 0\.05 s"):
            await threads.read(released.wait, 10)
        released.set()
        threads.close()

    asyncio.run(run())


def test_an_error_of_the_call_itself_is_passed_on(tmp_path: Path) -> None:
    def fail() -> None:
        raise TimeoutError("the network drive timed out")

    async def run() -> None:
        threads = StoreThreads(Store(tmp_path))
        with pytest.raises(TimeoutError, match="the network drive"):
            await threads.read(fail)
        threads.close()

    asyncio.run(run())


def test_promotions_that_wait_together_end_together(tmp_path: Path) -> None:
    store = Slow(tmp_path)

    async def run() -> None:
        threads = StoreThreads(store, lock_timeout_s=0.3)
        aliases = [f"a{i}" for i in range(20)]
        calls = (threads.set_alias("tiny", alias, 1) for alias in aliases)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(each, StoreBusyError) for each in results)
        assert store.begun == aliases
        threads.close()

    asyncio.run(run())
    assert sum(store.timeouts_s) < 2 * 0.3  # each has what the ones before it have left


def test_a_promotion_whose_client_has_left_before_it_began_is_not_made(tmp_path: Path) -> None:
    store = Slow(tmp_path)

    async def run() -> None:
        threads = StoreThreads(store, lock_timeout_s=10.0)
        first, second = (
            asyncio.create_task(threads.set_alias("tiny", alias, 1)) for alias in ("a", "b")
        )
        await asyncio.to_thread(store.first_begun.wait, 10)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        store.released.set()
        await first
        threads.close()

    asyncio.run(run())
    assert store.begun == ["a"]
