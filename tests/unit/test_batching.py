import asyncio

import numpy as np
import pytest

from app.inference.hooks import NullHooks
from tests.unit.inference_models import (
    LAB,
    TINY,
    Elementwise,
    an_engine,
    loaded,
    random_images,
    with_executor,
)


class Diary(NullHooks):
    """Hooks that record the number of images of each batch and each request."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.requests: list[int] = []

    def batch_done(self, model: str, images: int, inference_s: float) -> None:
        assert inference_s > 0
        self.batches.append(images)

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        assert queue_s >= 0
        assert inference_s > 0
        self.requests.append(images)


def decode_sizes(sizes: list[int], batch_requests: int = 16) -> Diary:
    """Decode requests of these sizes at the same time, and return the recorded batches."""
    model = loaded(TINY)
    diary = Diary()

    async def run() -> None:
        engine = an_engine(batch_requests=batch_requests, hooks=diary)
        arrays = [np.zeros((n, 3), np.float32) for n in sizes]
        await asyncio.gather(*(engine.decode(model, z) for z in arrays))
        engine.close()

    asyncio.run(run())
    return diary


def test_requests_that_arrive_together_are_computed_together() -> None:
    assert decode_sizes([1] * 16).batches == [16]
    assert decode_sizes([5, 5, 5, 5]).batches == [16, 4]


def test_batching_can_be_switched_off() -> None:
    assert decode_sizes([1, 1, 5, 18], batch_requests=1).batches == [1, 1, 5, 16, 2]


def test_a_small_request_does_not_wait_for_all_of_a_large_one() -> None:
    diary = decode_sizes([256, 200, 1])
    assert diary.requests == [1, 200, 256]
    assert sum(diary.batches) == 457
    assert len(diary.batches) == 29


def test_different_models_and_functions_do_not_share_a_batch() -> None:
    models = [loaded(TINY), loaded(TINY)]
    diary = Diary()

    async def run() -> None:
        engine = an_engine(hooks=diary)
        z, x = np.zeros((3, 3), np.float32), random_images(3)
        calls = [engine.decode(model, z) for model in models * 2]
        await asyncio.gather(*calls, engine.encode(models[0], x))
        engine.close()

    asyncio.run(run())
    assert sorted(diary.batches) == [3, 6, 6]


def test_a_single_image_does_not_keep_its_whole_batch_in_memory() -> None:
    async def run() -> None:
        engine = an_engine()
        image = await engine.decode(loaded(TINY), np.zeros((1, 3), np.float32))
        assert image.base is None
        engine.close()

    asyncio.run(run())


class LargeBatches(Elementwise):
    reference_batch = 64


def test_a_larger_reference_batch_holds_rows_of_more_requests() -> None:
    model = with_executor(LargeBatches(), LAB)
    z = np.random.default_rng(0).random((70, 3), np.float32)
    diary = Diary()

    async def run() -> None:
        engine = an_engine(hooks=diary)
        together, *single = await asyncio.gather(
            engine.decode(model, z), *(engine.decode(model, z[i : i + 1]) for i in range(70))
        )
        assert np.array_equal(together, 2 * z)
        assert np.array_equal(np.concatenate(single), 2 * z)
        engine.close()

    asyncio.run(run())
    assert diary.batches[0] == 64
    assert sum(diary.batches) == 140


def test_a_thousand_cancelled_requests_cost_one_batch() -> None:
    diary = Diary()
    model = loaded(TINY)

    async def run() -> None:
        engine = an_engine(hooks=diary)
        engine.pause()
        cancelled = [
            asyncio.create_task(engine.decode(model, np.zeros((4, 3), np.float32)))
            for _ in range(1000)
        ]
        await asyncio.sleep(0)
        assert engine.waiting_images == 4000
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        assert engine.waiting_images == 0
        engine.resume()
        await engine.decode(model, np.zeros((2, 3), np.float32))
        engine.close()

    asyncio.run(run())
    assert diary.batches == [2]


@pytest.mark.parametrize("rows", [1, 16, 17, 100])
def test_rows_are_padded_to_a_fixed_batch_and_come_back_in_order(rows: int) -> None:
    executor = Elementwise()
    z = np.random.default_rng(0).random((rows, 3), np.float32)

    async def run() -> None:
        engine = an_engine()
        assert np.array_equal(await engine.decode(with_executor(executor, TINY), z), 2 * z)
        engine.close()

    asyncio.run(run())
    assert executor.batches == [16] * -(-rows // 16)
