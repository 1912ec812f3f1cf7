import asyncio
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from app import latents
from app.engine import Engine, LoadedModel, choose_device
from app.errors import QueueFullError, SettingsError, TimedOutError
from model_store import MLP, VAE, Conv, Manifest, ModelSpec, Store
from tests.unit.models import a_card, tiny_description, tiny_weights

Floats = NDArray[np.float32]

LAB = ModelSpec(network=MLP(), latent=20)
DIGITS = ModelSpec(network=Conv(), latent=20)
NORMED = ModelSpec(network=Conv(kernel=3, batch_norm=True), latent=20)
TINY = ModelSpec(network=MLP(hidden=(8,)), latent=3)

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here"),
    ),
]


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    store = Store(tmp_path_factory.mktemp("store"))
    description = tiny_description(TINY)
    return store.publish("tiny", description, tiny_weights(spec=TINY), card=a_card)


def loaded(manifest: Manifest, spec: ModelSpec, device: str = "cpu") -> LoadedModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = VAE(spec).eval().requires_grad_(False).to(device)
    return LoadedModel(manifest.model_copy(update={"spec": spec}), vae, torch.device(device))


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(queue_images=256, timeout_s=30)
    yield engine
    engine.close()


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
    """Keeps the thread of an engine busy until it is lifted."""

    def __init__(self, engine: Engine) -> None:
        self._lifted = threading.Event()
        engine._worker.submit(self._lifted.wait, 30)

    def lift(self) -> None:
        self._lifted.set()


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
        engine.close()

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


def test_closing_drops_what_is_queued_and_stops_the_thread(manifest: Manifest) -> None:
    model = loaded(manifest, TINY)
    before = set(threading.enumerate())

    async def run() -> None:
        engine = Engine(queue_images=20, timeout_s=30)
        blockade = Blockade(engine)
        task = asyncio.create_task(engine.decode(model, np.zeros((1, 3), np.float32)))
        await asyncio.sleep(0)
        timer = threading.Timer(0.05, blockade.lift)
        timer.start()
        engine.close()
        timer.join()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert set(threading.enumerate()) <= before


def test_auto_takes_a_gpu_where_there_is_one() -> None:
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_cuda_asked_for_by_name_and_absent_is_refused() -> None:
    with pytest.raises(SettingsError, match="device=cuda"):
        choose_device("cuda")
