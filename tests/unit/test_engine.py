import asyncio
import dataclasses
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app.errors import NotReadyError, QueueFullError, SettingsError, TimedOutError
from app.inference import cuda_graphs
from app.inference.engine import Engine, LoadedModel, _shapes, choose_device
from app.inference.hooks import Silence
from app.sampling import latents
from model_store.spec import MLP, Conv, Manifest, ModelSpec
from model_store.store import Store, StoredModel
from model_store.store.tensors import to_arrays
from model_store.vae import build_vae, compile_for_inference
from tests.unit.models import a_card, tiny_description, tiny_weights

Floats = NDArray[np.float32]

LAB = ModelSpec(network=MLP(), latent=20)
DIGITS = ModelSpec(network=Conv(), latent=20)
NORMED = ModelSpec(network=Conv(kernel=3, batch_norm=True), latent=20)
TINY = ModelSpec(network=MLP(hidden=(8,)), latent=3)

on_a_gpu = pytest.mark.skipif(
    cuda_graphs.fault() is not None, reason=f"no GPU: {cuda_graphs.fault()}"
)
without_a_gpu = pytest.mark.skipif(cuda_graphs.fault() is None, reason="there is a GPU here")

DEVICES = ["cpu", pytest.param("cuda", marks=on_a_gpu)]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    store = Store(tmp_path_factory.mktemp("store"))
    description = tiny_description(TINY)
    return store.publish("tiny", description, tiny_weights(spec=TINY), card=a_card)


def stored(manifest: Manifest, spec: ModelSpec) -> StoredModel:
    weights = to_arrays(tiny_weights(spec=spec))
    return StoredModel(manifest.model_copy(update={"spec": spec}), weights)


def loaded(manifest: Manifest, spec: ModelSpec, device: str = "cpu") -> LoadedModel:
    model = stored(manifest, spec)
    vae = compile_for_inference(build_vae(model.spec, model.weights), torch.device(device))
    return LoadedModel(model.manifest, vae, torch.device(device))


def placed(model: LoadedModel, *, in_thread: bool) -> LoadedModel:
    """All of its functions beside the event loop, or on it."""
    functions = frozenset(_shapes(model, 1)) if in_thread else frozenset()
    return dataclasses.replace(model, in_thread=functions)


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(queue_images=256, timeout_s=30)
    yield engine
    engine.close()


@pytest.fixture
def large_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of every size, however long they take."""
    monkeypatch.setattr("app.inference.engine._BRIEF_S", 60.0)


def random_images(n: int) -> Floats:
    return np.random.default_rng(0).random((n, 1, 28, 28), np.float32)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_the_bytes_of_an_image_depend_on_its_latent_alone(
    manifest: Manifest, spec: ModelSpec, device: str
) -> None:
    model = loaded(manifest, spec, device)
    z = latents.standard_normal(latents.consecutive_seeds(0, 100), spec.latent)
    x = random_images(100)

    async def run(rows: slice) -> tuple[Floats, Floats, Floats]:
        engine = Engine(queue_images=256, timeout_s=30)
        try:
            mu, logvar = await engine.encode(model, x[rows])
            return await engine.decode(model, z[rows]), mu, logvar
        finally:
            engine.close()

    everything = asyncio.run(run(slice(0, 100)))
    for start, stop in [(0, 1), (7, 8), (0, 16), (93, 100), (50, 83), (99, 100)]:
        part = asyncio.run(run(slice(start, stop)))
        for some, all_of_it in zip(part, everything, strict=True):
            assert some.tobytes() == all_of_it[start:stop].tobytes()


@pytest.mark.parametrize("spec", [LAB, DIGITS], ids=["mlp", "conv"])
def test_the_engine_computes_what_the_model_does(
    manifest: Manifest, engine: Engine, spec: ModelSpec
) -> None:
    model = loaded(manifest, spec)
    x = random_images(5)

    async def run() -> tuple[Floats, Floats, Floats, Floats]:
        mu, logvar = await engine.encode(model, x)
        return (
            mu,
            logvar,
            await engine.decode(model, mu),
            await engine.log_likelihood(model, x, mu),
        )

    mu, logvar, pixels, log_px = asyncio.run(run())
    expected_mu, expected_logvar = model.vae.encode(torch.from_numpy(x))
    x_logits = model.vae.decode(expected_mu)
    assert np.allclose(mu, expected_mu.numpy(), atol=1e-5)
    assert np.allclose(logvar, expected_logvar.numpy(), atol=1e-5)
    assert np.allclose(pixels, torch.sigmoid(x_logits).numpy(), atol=1e-5)
    expected_log_px = model.vae.log_likelihood(torch.from_numpy(x), x_logits)
    assert np.allclose(log_px, expected_log_px.numpy(), rtol=1e-5)


class Blockade:
    """Lets an engine take requests without computing any, until it is lifted."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        engine._awake = True

    def lift(self) -> None:
        self._engine._awake = False
        self._engine._wake(asyncio.get_running_loop())


async def eventually_idle(engine: Engine) -> bool:
    for _ in range(500):
        if engine.waiting_images == 0:
            return True
        await asyncio.sleep(0.01)
    return False


def test_a_full_queue_refuses_and_names_the_limit(manifest: Manifest) -> None:
    model = loaded(manifest, TINY)

    async def run() -> None:
        engine = Engine(queue_images=20, timeout_s=30)
        blockade = Blockade(engine)
        waiting = asyncio.create_task(engine.decode(model, np.zeros((18, 3), np.float32)))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="18 images are waiting") as refused:
            await engine.decode(model, np.zeros((3, 3), np.float32))
        assert refused.value.limit == 20
        blockade.lift()
        assert (await waiting).shape == (18, 1, 28, 28)
        assert await eventually_idle(engine)
        await engine.decode(model, np.zeros((20, 3), np.float32))
        engine.close()

    asyncio.run(run())


def test_an_answer_that_takes_too_long_is_given_up(manifest: Manifest) -> None:
    model = loaded(manifest, TINY)

    async def run() -> None:
        engine = Engine(queue_images=20, timeout_s=0.02)
        blockade = Blockade(engine)
        with pytest.raises(TimedOutError, match=r"within 0\.02 s"):
            await engine.decode(model, np.zeros((3, 3), np.float32))
        blockade.lift()
        assert await eventually_idle(engine)
        await asyncio.sleep(0.05)
        engine.close()

    computed: list[int] = []
    model.vae.decoder.register_forward_hook(lambda *_: computed.append(1))
    asyncio.run(run())
    assert not computed


def test_an_engine_that_was_closed_says_so(manifest: Manifest) -> None:
    async def run() -> None:
        engine = Engine(queue_images=20, timeout_s=30)
        engine.close()
        with pytest.raises(NotReadyError, match="being stopped"):
            await engine.decode(loaded(manifest, TINY), np.zeros((1, 3), np.float32))

    asyncio.run(run())


def test_an_image_beside_others_does_not_keep_their_tile_in_memory(
    manifest: Manifest, engine: Engine
) -> None:
    async def run() -> None:
        model = loaded(manifest, TINY)
        alone = await engine.decode(model, np.zeros((1, 3), np.float32))
        assert alone.base is None

    asyncio.run(run())


def test_work_whose_waiter_has_gone_is_not_computed(manifest: Manifest, engine: Engine) -> None:
    model = loaded(manifest, TINY)
    computed: list[int] = []
    model.vae.decoder.register_forward_hook(lambda *_: computed.append(1))

    async def run() -> None:
        blockade = Blockade(engine)
        tasks = [
            asyncio.create_task(engine.decode(model, np.zeros((1, 3), np.float32)))
            for _ in range(50)
        ]
        await asyncio.sleep(0)
        for task in tasks[:-1]:
            task.cancel()
        await asyncio.gather(*tasks[:-1], return_exceptions=True)
        blockade.lift()
        await tasks[-1]
        assert await eventually_idle(engine)

    asyncio.run(run())
    assert len(computed) == 1


@pytest.mark.parametrize("in_thread", [False, True])
def test_closing_drops_what_is_queued_and_stops_the_threads(
    manifest: Manifest, in_thread: bool
) -> None:
    model = placed(loaded(manifest, TINY), in_thread=in_thread)
    before = set(threading.enumerate())

    async def run() -> None:
        engine = Engine(queue_images=1000, timeout_s=30)
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


class Diary(Silence):
    """An observer that writes down tiles and requests."""

    def __init__(self) -> None:
        self.tiles: list[int] = []
        self.requests: list[int] = []

    def tile_done(self, model: str, images: int, inference_s: float) -> None:
        assert inference_s > 0
        self.tiles.append(images)

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        assert queue_s >= 0
        assert inference_s > 0
        self.requests.append(images)


def decode_sizes(manifest: Manifest, sizes: list[int], batch_requests: int = 16) -> Diary:
    """Requests of these sizes that arrive together."""
    model = loaded(manifest, TINY)
    diary = Diary()

    async def run() -> None:
        engine = Engine(
            queue_images=1000, timeout_s=30, batch_requests=batch_requests, observer=diary
        )
        arrays = [np.zeros((n, 3), np.float32) for n in sizes]
        await asyncio.gather(*(engine.decode(model, z) for z in arrays))
        engine.close()

    asyncio.run(run())
    return diary


def test_what_has_arrived_together_is_computed_together(manifest: Manifest) -> None:
    assert decode_sizes(manifest, [1] * 16).tiles == [16]
    assert decode_sizes(manifest, [5, 5, 5, 5]).tiles == [16, 4]


def test_batching_can_be_switched_off(manifest: Manifest) -> None:
    assert decode_sizes(manifest, [1, 1, 5, 18], batch_requests=1).tiles == [1, 1, 5, 16, 2]


def test_a_small_request_does_not_wait_for_all_of_a_large_one(manifest: Manifest) -> None:
    diary = decode_sizes(manifest, [256, 200, 1])
    assert diary.requests == [1, 200, 256]
    assert sum(diary.tiles) == 457
    assert len(diary.tiles) == 29


def test_different_models_and_functions_do_not_share_a_tile(manifest: Manifest) -> None:
    models = [loaded(manifest, TINY), loaded(manifest, TINY)]
    diary = Diary()

    async def run() -> None:
        engine = Engine(queue_images=1000, timeout_s=30, observer=diary)
        z, x = np.zeros((3, 3), np.float32), random_images(3)
        calls = [engine.decode(model, z) for model in models * 2]
        await asyncio.gather(*calls, engine.encode(models[0], x))
        engine.close()

    asyncio.run(run())
    assert sorted(diary.tiles) == [3, 6, 6]


@pytest.mark.parametrize("in_thread", [False, True])
def test_an_error_of_the_model_reaches_those_who_shared_the_tile_and_nobody_else(
    manifest: Manifest, engine: Engine, in_thread: bool
) -> None:
    model = placed(loaded(manifest, TINY), in_thread=in_thread)

    async def run() -> None:
        wrong = [asyncio.create_task(engine.decode(model, z)) for z in [np.zeros((40, 9), "f")] * 2]
        await asyncio.gather(*wrong, return_exceptions=True)
        assert all(isinstance(task.exception(), RuntimeError) for task in wrong)
        assert engine.waiting_images == 0
        assert (await engine.decode(model, np.zeros((1, 3), np.float32))).shape == (1, 1, 28, 28)

    asyncio.run(run())


@pytest.mark.usefixtures("large_tiles")
@pytest.mark.parametrize(
    ("spec", "requests", "in_thread"),
    [(LAB, 10_000, False), (LAB, 500, True), (DIGITS, 200, False), (NORMED, 200, False)],
    ids=["mlp", "mlp in a thread", "conv", "batch norm"],
)
def test_seeded_requests_of_any_size_in_any_company_give_the_same_bytes(
    manifest: Manifest, engine: Engine, spec: ModelSpec, requests: int, in_thread: bool
) -> None:
    """10,000 requests for 1 to 64 images, several at a time, by three engines, in tiles of any size."""
    warm = asyncio.run(engine.warm_up(stored(manifest, spec), torch.device("cpu")))
    model = placed(warm, in_thread=in_thread)
    seeds = 500
    z = latents.standard_normal(latents.consecutive_seeds(0, seeds), spec.latent)
    chance = np.random.default_rng(1)

    async def alone() -> list[bytes]:
        engine = Engine(queue_images=4096, timeout_s=30)
        images = [await engine.decode(model, z[i : i + 1]) for i in range(seeds)]
        engine.close()
        return [image.tobytes() for image in images]

    async def in_company(expected: list[bytes], requests: int) -> int:
        engine = Engine(queue_images=4096, timeout_s=30)
        compared = 0
        while requests > 0:
            at_once = int(chance.integers(1, 33))
            spans = []
            for _ in range(at_once):
                n = min(64, 1 + int(chance.exponential(5)))
                spans.append((start := int(chance.integers(0, seeds - n)), start + n))
            answers = await asyncio.gather(*(engine.decode(model, z[a:b]) for a, b in spans))
            for (start, stop), answer in zip(spans, answers, strict=True):
                assert answer.tobytes() == b"".join(expected[start:stop])
                compared += 1
            requests -= at_once
        engine.close()
        return compared

    expected = asyncio.run(alone())
    compared = asyncio.run(in_company(expected, requests // 2))
    compared += asyncio.run(in_company(expected, requests // 2))
    assert compared >= requests


def test_a_thousand_waiters_that_leave_cost_one_tile(manifest: Manifest) -> None:
    model = loaded(manifest, TINY)
    diary = Diary()

    async def run() -> None:
        engine = Engine(queue_images=4096, timeout_s=30, observer=diary)
        blockade = Blockade(engine)
        leaving = [
            asyncio.create_task(engine.decode(model, np.zeros((4, 3), np.float32)))
            for _ in range(1000)
        ]
        await asyncio.sleep(0)
        assert engine.waiting_images == 4000
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        assert engine.waiting_images == 0
        blockade.lift()
        await engine.decode(model, np.zeros((2, 3), np.float32))
        engine.close()

    asyncio.run(run())
    assert diary.tiles == [2]


def test_what_is_slow_runs_beside_the_event_loop_and_the_rest_on_it(
    manifest: Manifest, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_encode(model: LoadedModel, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        time.sleep(0.02)
        return model.vae.encode(x)

    monkeypatch.setattr("app.inference.engine._ON_THE_LOOP_S", 0.01)
    monkeypatch.setattr("app.inference.engine._encode", slow_encode)
    model = asyncio.run(engine.warm_up(stored(manifest, TINY), torch.device("cpu")))
    assert model.in_thread == {slow_encode}


@pytest.mark.parametrize("hidden", [5, 7, 8, 9])
def test_a_model_too_small_for_tiles_gives_the_same_bytes_all_the_same(
    manifest: Manifest, engine: Engine, hidden: int
) -> None:
    """Products of 5x7 come out differently at the edges of a batch; see DECISIONS.md."""
    spec = ModelSpec(network=MLP(hidden=(hidden,)), latent=5)
    z = latents.standard_normal(latents.consecutive_seeds(0, 40), 5)

    async def run() -> None:
        model = await engine.warm_up(stored(manifest, spec), torch.device("cpu"))
        together = await engine.decode(model, z)
        for i in range(40):
            assert (await engine.decode(model, z[i : i + 1])).tobytes() == together[i].tobytes()

    asyncio.run(run())


@pytest.mark.usefixtures("large_tiles")
@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_every_tile_that_is_taken_gives_the_bytes_of_a_tile_of_sixteen(
    manifest: Manifest, engine: Engine, spec: ModelSpec
) -> None:
    z = latents.standard_normal(latents.consecutive_seeds(0, 64), spec.latent)

    async def run() -> None:
        model = await engine.warm_up(stored(manifest, spec), torch.device("cpu"))
        expected = await engine.decode(dataclasses.replace(model, equal_tiles=()), z)
        for tile in (16, *model.equal_tiles):
            assert model.tile_for(tile) == tile
        for n in (1, 3, 5, 7, 9, 20, 33, 16, *model.equal_tiles):
            assert (await engine.decode(model, z[-n:])).tobytes() == expected[-n:].tobytes()

    asyncio.run(run())


def test_only_a_brief_tile_is_made_larger(
    manifest: Manifest, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.inference.engine._equal_tiles", lambda _, tried: tuple(tried))
    model = stored(manifest, LAB)
    for brief_s, most_rows in [(60.0, 64), (0.0, 16)]:
        monkeypatch.setattr("app.inference.engine._BRIEF_S", brief_s)
        warm = asyncio.run(engine.warm_up(model, torch.device("cpu")))
        assert warm.most_rows == most_rows
        assert [warm.tile_for(n) for n in (1, 3, 9, 16)] == [2, 4, 16, 16]


@pytest.mark.usefixtures("large_tiles")
@pytest.mark.parametrize("size", [4, 64])
def test_a_tile_that_gives_other_bits_is_not_taken(
    manifest: Manifest, engine: Engine, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    def decode(_model: LoadedModel, z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (z + 1e-6 if len(z) == size else z,)

    monkeypatch.setattr("app.inference.engine._decode", decode)
    model = asyncio.run(engine.warm_up(stored(manifest, LAB), torch.device("cpu")))
    assert model.equal_tiles
    assert size not in model.equal_tiles


@on_a_gpu
@pytest.mark.parametrize("spec", [LAB, DIGITS, NORMED], ids=["mlp", "conv", "batch norm"])
def test_captured_graphs_give_the_same_bytes_in_any_company_and_nearly_those_of_a_cpu(
    manifest: Manifest, spec: ModelSpec
) -> None:
    model = stored(manifest, spec)
    z = latents.standard_normal(latents.consecutive_seeds(0, 600), spec.latent)

    async def run() -> None:
        engine = Engine(queue_images=4096, timeout_s=60)
        on_gpu = await engine.warm_up(model, torch.device("cuda"))
        on_cpu = await engine.warm_up(model, torch.device("cpu"))
        again = await engine.warm_up(model, torch.device("cuda"))
        assert len(on_gpu.captured) == 3
        assert on_gpu.most_rows == on_gpu.tile == 256
        together = await engine.decode(on_gpu, z)
        assert (await engine.decode(again, z)).tobytes() == together.tobytes()
        for start, stop in [(0, 1), (7, 8), (100, 500), (599, 600)]:
            part = await engine.decode(on_gpu, z[start:stop])
            assert part.tobytes() == together[start:stop].tobytes()
        levels = [np.rint(pixels * 255) for pixels in (together, await engine.decode(on_cpu, z))]
        apart = np.abs(levels[0] - levels[1])
        assert apart.max() <= 1
        assert np.mean(apart > 0) <= 0.001
        mu, logvar = await engine.encode(on_gpu, random_images(3))
        expected_mu, expected_logvar = await engine.encode(on_cpu, random_images(3))
        assert np.allclose(mu, expected_mu, atol=1e-4)
        assert np.allclose(logvar, expected_logvar, atol=1e-4)
        engine.close()

    asyncio.run(run())


@without_a_gpu
@pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="torch is a build without CUDA")
def test_a_model_that_a_gpu_cannot_take_is_not_ready_with_the_reason(
    manifest: Manifest, engine: Engine
) -> None:
    with pytest.raises(NotReadyError, match=r"tiny@1 cannot run on cuda: .") as refused:
        asyncio.run(engine.warm_up(stored(manifest, TINY), torch.device("cuda")))
    assert "\n" not in str(refused.value)


def test_tiles_of_another_size_hold_rows_of_more_requests_and_give_the_same_images(
    manifest: Manifest,
) -> None:
    model = dataclasses.replace(loaded(manifest, LAB), tile=64)
    z = latents.standard_normal(latents.consecutive_seeds(0, 70), LAB.latent)
    diary = Diary()

    async def run() -> None:
        engine = Engine(queue_images=256, timeout_s=30, observer=diary)
        together, *alone = await asyncio.gather(
            engine.decode(model, z), *(engine.decode(model, z[i : i + 1]) for i in range(70))
        )
        assert together.tobytes() == b"".join(image.tobytes() for image in alone)
        engine.close()

    asyncio.run(run())
    assert diary.tiles[0] == 64
    assert sum(diary.tiles) == 140


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if cuda_graphs.fault() is None else "cpu")
    assert choose_device("cpu").type == "cpu"


@without_a_gpu
def test_cuda_asked_for_by_name_and_absent_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingsError, match="device=cuda") as refused:
        choose_device("cuda")
    assert str(cuda_graphs.fault()) in str(refused.value)
