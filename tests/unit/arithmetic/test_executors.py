from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest

from model_store.arithmetic.executors import Executor
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor, to_onnx
from model_store.arithmetic.executors.torch_executor import TorchExecutor
from model_store.arithmetic.flow import MakeExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Floats, Function
from tests.unit.arithmetic.networks import SPECS, exact_network, images

EXECUTORS: dict[str, MakeExecutor] = {
    "numpy, sums in float32": lambda function, _: NumpyExecutor(function, np.float32),
    "ONNX Runtime": OnnxExecutor,
    "ONNX Runtime, two threads": lambda function, shape: OnnxExecutor(function, shape, threads=2),
    "torch": lambda function, _: TorchExecutor(function),
}


def reference(function: Function, _: Sequence[int]) -> Executor:
    return NumpyExecutor(function)


def model(kind: str, make: MakeExecutor) -> ExactModel:
    return ExactModel(exact_network(kind), SPECS[kind], make)


def latents(kind: str, rows: int, scale: float = 1.5) -> Floats:
    shape = (rows, SPECS[kind].latent)
    return (np.random.default_rng(1).standard_normal(shape) * scale).astype(np.float32)


CALLS: dict[str, Callable[[ExactModel, str], Sequence[np.ndarray]]] = {
    "encode": lambda m, kind: m.encode(images(kind, 33, seed=2)),
    "decode": lambda m, kind: [m.decode(latents(kind, 33))],
    "far latents": lambda m, kind: [m.logits(latents(kind, 9, scale=30))],
    "log_likelihood": lambda m, kind: [m.log_likelihood(images(kind, 7), latents(kind, 7))],
    "to_u": lambda m, kind: [m.to_u(latents(kind, 20))],
    "to_z": lambda m, kind: [m.to_z(latents(kind, 20))],
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_gives_the_bytes_of_the_reference(name: str, kind: str, call: str):
    results = CALLS[call](model(kind, EXECUTORS[name]), kind)
    expected = CALLS[call](model(kind, reference), kind)
    assert [r.tobytes() for r in results] == [e.tobytes() for e in expected]


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", EXECUTORS)
def test_a_row_does_not_depend_on_its_batch_or_its_place(name: str, kind: str):
    exact = model(kind, EXECUTORS[name])
    z = latents(kind, 37)
    expected = exact.decode(z)
    for rows in (slice(0, 1), slice(3, 5), slice(20, 37), slice(None, None, -1)):
        assert np.array_equal(exact.decode(np.ascontiguousarray(z[rows])), expected[rows])


@pytest.mark.parametrize("kind", SPECS)
def test_all_executors_agree_on_the_golden_hashes(kind: str):
    hashes = [model(kind, make).hashes() for make in (reference, *EXECUTORS.values())]
    assert all(other == hashes[0] for other in hashes[1:])


@pytest.mark.parametrize("kind", SPECS)
def test_the_written_graph_passes_the_checker_of_onnx(kind: str):
    network, spec = exact_network(kind), SPECS[kind]
    for function, shape in ((network.encode, spec.image.shape), (network.decode, (spec.latent,))):
        onnx.checker.check_model(onnx.load_from_string(to_onnx(function, shape)), full_check=False)


def test_minus_zero_never_leaves_an_executor():
    exact = model("mlp", reference)
    for make in EXECUTORS.values():
        mu, logvar = model("mlp", make).encode(images("mlp", 50))
        assert not np.signbit(np.concatenate([mu, logvar])[np.concatenate([mu, logvar]) == 0]).any()
    assert exact.encode(images("mlp", 1))[0].dtype == np.float32
