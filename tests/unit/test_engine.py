import asyncio
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.errors import DeviceError, QueueFullError, ShuttingDownError, TimedOutError
from app.inference.backend import ChosenBackend
from app.inference.engine import Engine
from app.inference.executor import Function
from app.sampling import latents
from app.typing import Floats
from model_store.preprocessing import to_bytes
from model_store.spec import ModelSpec
from model_store.vae import build_vae
from tests.clock import run_turning_the_clock
from tests.unit.inference_models import (
    DIGITS,
    LAB,
    NO_GPU_REASON,
    NORMED,
    TINY,
    Elementwise,
    an_engine,
    loaded,
    random_images,
    stored,
    warm,
    with_executor,
)


@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_the_bytes_of_an_image_depend_on_its_latent_alone(spec: ModelSpec) -> None:
    model = loaded(spec)
    z = latents.standard_normal(latents.consecutive_seeds(0, 100), spec.latent)
    x = random_images(100)

    async def run(rows: slice) -> tuple[Floats, Floats, Floats]:
        engine = an_engine()
        try:
            mu, logvar = await engine.encode(model, x[rows])
            return await engine.decode(model, z[rows]), mu, logvar
        finally:
            engine.close()

    everything = asyncio.run(run(slice(0, 100)))
    for start, stop in [(0, 1), (7, 8), (0, 16), (93, 100), (50, 83), (99, 100)]:
        part = asyncio.run(run(slice(start, stop)))
        for some, whole in zip(part, everything, strict=True):
            assert some.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize("spec", [LAB, DIGITS], ids=["mlp", "conv"])
def test_the_engine_computes_what_the_model_does(spec: ModelSpec) -> None:
    model = loaded(spec)
    x = random_images(5)

    async def run() -> tuple[Floats, Floats, Floats, Floats]:
        engine = an_engine()
        mu, logvar = await engine.encode(model, x)
        pixels = await engine.decode(model, mu)
        log_px = await engine.log_likelihood(model, x, mu)
        engine.close()
        return mu, logvar, pixels, log_px

    mu, logvar, pixels, log_px = asyncio.run(run())
    vae = build_vae(spec, stored(spec).weights).eval()
    expected_mu, expected_logvar = vae.encode(torch.from_numpy(x))
    x_logits = vae.decode(expected_mu)
    assert np.allclose(mu, expected_mu.detach().numpy(), atol=1e-5)
    assert np.allclose(logvar, expected_logvar.detach().numpy(), atol=1e-5)
    assert np.allclose(pixels, torch.sigmoid(x_logits).detach().numpy(), atol=1e-5)
    expected_log_px = vae.log_likelihood(torch.from_numpy(x), x_logits)
    assert np.allclose(log_px, expected_log_px.detach().numpy(), rtol=1e-5)


def test_levels_of_a_float_model_are_its_rounded_images() -> None:
    model, z = loaded(DIGITS), np.zeros((3, DIGITS.latent), np.float32)

    async def run() -> None:
        engine = an_engine()
        expected = to_bytes(await engine.decode(model, z))
        assert np.array_equal(await engine.decode_levels(model, z), expected)
        engine.close()

    asyncio.run(run())


def test_a_full_queue_refuses_and_names_the_limit() -> None:
    model = loaded(TINY)

    async def run() -> None:
        engine = an_engine(queue_bytes=20 * model.row_bytes)
        engine.pause()
        waiting = asyncio.create_task(engine.decode(model, np.zeros((18, 3), np.float32)))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="18 images are waiting") as refused:
            await engine.decode(model, np.zeros((3, 3), np.float32))
        assert refused.value.limit == 20 * model.row_bytes
        assert refused.value.retry_after_s is not None
        engine.resume()
        assert (await waiting).shape == (18, 1, 28, 28)
        await engine.decode(model, np.zeros((20, 3), np.float32))
        await engine.decode(model, np.zeros((21, 3), np.float32))  # as large as it is, but alone
        engine.close()

    asyncio.run(run())


def test_a_burst_of_three_hundred_requests_is_queued_whole_by_default() -> None:
    model = loaded(TINY)

    async def run() -> None:
        engine = Engine(ChosenBackend("cpu"), timeout_s=30.0)
        engine.pause()
        z = np.zeros((16, 3), np.float32)
        waiting = [asyncio.create_task(engine.decode(model, z)) for _ in range(300)]
        await asyncio.sleep(0)
        assert engine.waiting_images == 4800
        engine.resume()
        assert len(await asyncio.gather(*waiting)) == 300
        engine.close()

    asyncio.run(run())


def test_a_request_that_takes_too_long_is_given_up_and_not_computed() -> None:
    executor = Elementwise()
    model = with_executor(executor, TINY)

    async def run() -> None:
        engine = an_engine(timeout_s=30.0)
        engine.pause()
        begin = asyncio.get_running_loop().time()
        with pytest.raises(TimedOutError, match=r"within 30 s") as refused:
            await engine.decode(model, np.zeros((3, 3), np.float32))
        assert refused.value.limit == 30.0
        assert asyncio.get_running_loop().time() - begin == pytest.approx(30.0, abs=0.01)
        assert engine.waiting_images == 0
        engine.resume()
        await asyncio.sleep(1.0)
        engine.close()

    run_turning_the_clock(run())
    assert executor.batches == []


def test_a_closed_engine_refuses_and_stays_closed() -> None:
    async def run() -> None:
        engine = an_engine()
        engine.pause()
        engine.close()
        engine.resume()
        with pytest.raises(ShuttingDownError, match="being stopped"):
            await engine.decode(loaded(TINY), np.zeros((1, 3), np.float32))

    asyncio.run(run())


def test_cancelled_requests_are_not_computed() -> None:
    executor = Elementwise()
    model = with_executor(executor, TINY)

    async def run() -> None:
        engine = an_engine()
        engine.pause()
        tasks = [
            asyncio.create_task(engine.decode(model, np.zeros((16, 3), np.float32)))
            for _ in range(50)
        ]
        await asyncio.sleep(0)
        for task in tasks[:-1]:
            task.cancel()
        await asyncio.gather(*tasks[:-1], return_exceptions=True)
        engine.resume()
        await tasks[-1]
        assert engine.waiting_images == 0
        engine.close()

    asyncio.run(run())
    assert executor.batches == [16]


@pytest.mark.parametrize("off_loop", [False, True])
def test_closing_cancels_queued_requests_and_stops_the_threads(off_loop: bool) -> None:
    model = loaded(TINY, off_loop=off_loop)
    before = set(threading.enumerate())

    async def run() -> None:
        engine = an_engine()
        await engine.decode(model, np.zeros((1, 3), np.float32))
        tasks = [
            asyncio.create_task(engine.decode(model, np.zeros((n, 3), np.float32)))
            for n in (1, 400, 1)
        ]
        await asyncio.sleep(0)
        engine.close()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        assert engine.waiting_images == 0

    asyncio.run(run())
    assert set(threading.enumerate()) <= before


class Failing(Elementwise):
    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        if np.isnan(inputs[0]).any():
            raise RuntimeError("the model failed")
        return super().run(function, inputs)


@pytest.mark.parametrize("off_loop", [False, True])
def test_an_error_of_the_model_reaches_the_requests_in_its_batch_and_no_others(
    off_loop: bool,
) -> None:
    model = with_executor(Failing(), TINY, off_loop=off_loop)

    async def run() -> None:
        engine = an_engine()
        bad = np.full((40, 3), np.nan, np.float32)
        tasks = [asyncio.create_task(engine.decode(model, bad)) for _ in range(2)]
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(task.exception()) for task in tasks] == ["the model failed"] * 2
        assert engine.waiting_images == 0
        assert (await engine.decode(model, np.zeros((1, 3), np.float32))).shape == (1, 3)
        engine.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("spec", "requests", "off_loop"),
    [(LAB, 10_000, False), (LAB, 500, True), (DIGITS, 200, False), (NORMED, 200, False)],
    ids=["mlp", "mlp in a thread", "conv", "batch norm"],
)
def test_seeded_requests_of_any_size_beside_any_others_give_the_same_bytes(
    spec: ModelSpec, requests: int, off_loop: bool
) -> None:
    """Runs requests for 1 to 64 images, several at a time, on three engines."""
    model = warm(spec)
    functions = frozenset(model.executor.input_shapes) if off_loop else frozenset()
    model = replace(model, off_loop_functions=functions)
    seeds = 500
    z = latents.standard_normal(latents.consecutive_seeds(0, seeds), spec.latent)
    random = np.random.default_rng(1)

    async def one_by_one() -> list[bytes]:
        engine = an_engine()
        images = [await engine.decode(model, z[i : i + 1]) for i in range(seeds)]
        engine.close()
        return [image.tobytes() for image in images]

    async def several_at_once(expected: list[bytes], requests: int) -> int:
        engine = an_engine()
        compared = 0
        while requests > 0:
            at_once = int(random.integers(1, 33))
            spans = []
            for _ in range(at_once):
                n = min(64, 1 + int(random.exponential(5)))
                spans.append((start := int(random.integers(0, seeds - n)), start + n))
            answers = await asyncio.gather(*(engine.decode(model, z[a:b]) for a, b in spans))
            for (start, stop), answer in zip(spans, answers, strict=True):
                assert answer.tobytes() == b"".join(expected[start:stop])
                compared += 1
            requests -= at_once
        engine.close()
        return compared

    expected = asyncio.run(one_by_one())
    compared = asyncio.run(several_at_once(expected, requests // 2))
    compared += asyncio.run(several_at_once(expected, requests // 2))
    assert compared >= requests


@pytest.mark.skipif(NO_GPU_REASON is None, reason="there is a GPU here")
@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="torch is a build without CUDA")
def test_a_model_that_a_gpu_cannot_take_is_refused_with_the_reason_in_one_line() -> None:
    async def run() -> None:
        engine = an_engine(device="cuda")
        with pytest.raises(DeviceError, match=r"tiny@1 cannot run on cuda: .") as refused:
            await engine.warm_up(stored(TINY))
        assert "\n" not in str(refused.value)
        engine.close()

    asyncio.run(run())


def test_the_engine_and_its_batching_do_not_import_torch() -> None:
    code = "import sys, app.inference.engine; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
