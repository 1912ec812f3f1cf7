import asyncio
import time
from collections.abc import Sequence

import numpy as np
import pytest

from app.inference.executor import Executor, Function
from app.inference.loaded_model import LoadedModel
from app.inference.torch_executor import CPU_REFERENCE_BATCH
from app.inference.warm_up import warm_up
from app.sampling import latents
from app.typing import Floats
from model_store.spec import MLP, ModelSpec
from tests.unit.inference_models import (
    DIGITS,
    LAB,
    NORMED,
    TINY,
    Elementwise,
    a_manifest,
    an_engine,
    loaded,
    stored,
    warm,
)


def warmed_up(executor: Executor, *, max_large_batch_s: float = 60.0) -> LoadedModel:
    return warm_up(a_manifest(TINY), executor, "cpu", max_large_batch_s=max_large_batch_s)


class Slow(Elementwise):
    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        time.sleep(0.02)
        return super().run(function, inputs)


def test_slow_functions_run_beside_the_event_loop_and_quick_ones_on_it() -> None:
    assert warmed_up(Slow()).off_loop_functions == {"decode"}
    assert warmed_up(Elementwise()).off_loop_functions == frozenset()


class Counting(Elementwise):
    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        self.runs += 1
        return super().run(function, inputs)


def test_a_function_that_takes_long_is_not_run_five_times_to_measure_it() -> None:
    runs = []
    for max_repeats_s in (60.0, 0.0):
        executor = Counting()
        warm_up(
            a_manifest(TINY), executor, "cpu", max_large_batch_s=0.0, max_repeats_s=max_repeats_s
        )
        runs.append(executor.runs)
    assert runs[0] - runs[1] == 4


class OnAnotherDevice(Elementwise):
    always_off_loop = True


def test_every_function_of_another_device_runs_beside_the_event_loop() -> None:
    assert warmed_up(OnAnotherDevice()).off_loop_functions == {"decode"}


def test_larger_batches_are_used_only_if_they_are_quick() -> None:
    for max_large_batch_s, max_batch in [(60.0, 64), (0.0, 16)]:
        model = warmed_up(Elementwise(), max_large_batch_s=max_large_batch_s)
        assert model.max_batch == max_batch
        assert [model.batch_size_for(n) for n in (1, 3, 9, 16)] == [2, 4, 16, 16]


@pytest.mark.parametrize("size", [4, 64])
def test_a_batch_size_that_gives_other_bits_is_not_used(size: int) -> None:
    class Inexact(Elementwise):
        def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
            (z,) = super().run(function, inputs)
            return [z + np.float32(1e-6)] if len(z) == size else [z]

    expected = {2, 4, 8, 32, 64} - {size}
    assert set(warmed_up(Inexact()).equivalent_batches) == expected


class PositionSensitive(Elementwise):
    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        (z,) = super().run(function, inputs)
        return [z + np.arange(len(z), dtype=np.float32)[:, None]]


def test_a_model_whose_rows_depend_on_their_position_is_computed_one_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = warmed_up(PositionSensitive())
    assert model.position_sensitive
    assert model.max_batch == 1
    assert "tiny@1 is so small that its images are computed one by one" in caplog.text


@pytest.mark.parametrize("hidden", [5, 7, 8, 9])
def test_a_very_small_model_gives_the_same_bytes_in_any_batch(hidden: int) -> None:
    """In some libraries, products of 5x7 have other bits in the last rows of a batch."""
    spec = ModelSpec(network=MLP(hidden=(hidden,)), latent=5)
    z = latents.standard_normal(latents.consecutive_seeds(0, 40), 5)

    async def run() -> None:
        engine = an_engine()
        model = await engine.warm_up(stored(spec))
        together = await engine.decode(model, z)
        for i in range(40):
            assert (await engine.decode(model, z[i : i + 1])).tobytes() == together[i].tobytes()
        engine.close()

    asyncio.run(run())


@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_every_batch_size_that_is_used_gives_the_bytes_of_the_reference_batch(
    spec: ModelSpec,
) -> None:
    z = latents.standard_normal(latents.consecutive_seeds(0, 64), spec.latent)
    model = warm(spec)
    sizes = (CPU_REFERENCE_BATCH, *model.equivalent_batches)

    async def run() -> None:
        engine = an_engine()
        expected = await engine.decode(loaded(spec), z)
        for size in sizes:
            assert model.batch_size_for(size) == size
        for n in (1, 3, 5, 7, 9, 20, 33, *sizes):
            assert (await engine.decode(model, z[-n:])).tobytes() == expected[-n:].tobytes()
        engine.close()

    asyncio.run(run())
