"""Loaded models and engines for the tests of `app.inference`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from app.inference.backend import ChosenBackend
from app.inference.devices import Device, unusable_reason
from app.inference.engine import Engine
from app.inference.executor import Executor, Function
from app.inference.hooks import EngineHooks
from app.inference.loaded_model import LoadedModel
from app.inference.torch_executor import TorchExecutor
from app.inference.warm_up import warm_up
from app.typing import Floats
from model_store.spec import MLP, Conv, FileRecord, Manifest, ModelSpec
from model_store.store import StoredModel
from model_store.store.tensors import to_arrays
from model_store.vae import build_vae
from tests.unit.models import tiny_description, tiny_weights

LAB = ModelSpec(network=MLP(), latent=20)
DIGITS = ModelSpec(network=Conv(), latent=20)
NORMED = ModelSpec(network=Conv(kernel=3, batch_norm=True), latent=20)
TINY = ModelSpec(network=MLP(hidden=(8,)), latent=3)

NO_GPU_REASON = unusable_reason()


def a_manifest(spec: ModelSpec) -> Manifest:
    return Manifest(
        **dict(tiny_description(spec)),
        name="tiny",
        version=1,
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
        files={"weights.safetensors": FileRecord(sha256="0" * 64, size_bytes=1)},
    )


def stored(spec: ModelSpec) -> StoredModel:
    """Return an untrained model with fixed weights."""
    return StoredModel(a_manifest(spec), to_arrays(tiny_weights(spec=spec)))


def executor_of(spec: ModelSpec) -> TorchExecutor:
    return TorchExecutor(build_vae(spec, stored(spec).weights), "cpu")


def loaded(spec: ModelSpec, *, off_loop: bool = False) -> LoadedModel:
    """Return a model that runs only in batches of 16, on the event loop or beside it."""
    executor = executor_of(spec)
    return with_executor(executor, spec, off_loop=off_loop)


def with_executor(executor: Executor, spec: ModelSpec, *, off_loop: bool = False) -> LoadedModel:
    return LoadedModel(
        a_manifest(spec),
        executor,
        "cpu",
        reference_batch=executor.reference_batch,
        off_loop_functions=frozenset(executor.input_shapes) if off_loop else frozenset(),
    )


def warm(spec: ModelSpec) -> LoadedModel:
    """Return a model with all batch sizes that give the same bits, however long they take."""
    executor = executor_of(spec)
    return warm_up(a_manifest(spec), executor, "cpu", max_large_batch_s=60.0)


def an_engine(
    *,
    device: Device = "cpu",
    queue_bytes: int = 2**28,
    timeout_s: float = 30.0,
    target_wait_s: float = 3600.0,
    batch_requests: int = 64,
    hooks: EngineHooks | None = None,
) -> Engine:
    return Engine(
        ChosenBackend(device),
        queue_bytes=queue_bytes,
        timeout_s=timeout_s,
        target_wait_s=target_wait_s,
        batch_requests=batch_requests,
        hooks=hooks,
    )


def random_images(n: int) -> Floats:
    return np.random.default_rng(0).random((n, 1, 28, 28), np.float32)


class Elementwise:
    """An executor in numpy that decodes latents (batch, 3) to twice their values.

    A row has the same bits in batches of any size.
    """

    name = "elementwise"
    exact = False
    reference_batch = 16
    other_batches: Sequence[int] = (2, 4, 8, 32, 64)
    always_off_loop = False
    input_shapes: Mapping[Function, Sequence[tuple[int, ...]]] = {"decode": [(3,)]}

    def __init__(self) -> None:
        self.batches: list[int] = []
        """Size of each batch that was run."""

    def run(self, function: Function, inputs: Sequence[Floats]) -> Sequence[Floats]:
        (z,) = inputs
        self.batches.append(len(z))
        return [2 * z]
