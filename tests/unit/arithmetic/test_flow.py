"""The flow of an exact network, in one piece in every executor."""

import math
from collections.abc import Sequence

import numpy as np
import onnx
import pytest

from model_store.arithmetic.executors import Executor
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor, to_onnx
from model_store.arithmetic.executors.torch_executor import TorchExecutor
from model_store.arithmetic.flow import MakeExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import (
    Coupling,
    Dense,
    Floats,
    FlowMap,
    Function,
    LatentDense,
    ReluLevels,
)
from model_store.arithmetic.proof import ProofError, prove
from tests.unit.arithmetic.networks import SPECS, exact_network, images

LATENT = SPECS["flow"].latent
EXECUTORS: dict[str, MakeExecutor] = {
    "numpy, sums in float32": lambda function, _: NumpyExecutor(function, np.float32),
    "ONNX Runtime": OnnxExecutor,
    "torch": lambda function, _: TorchExecutor(function),
}


def reference(function: Function, _: Sequence[int]) -> Executor:
    return NumpyExecutor(function)


def far_and_special_latents(latent: int) -> Floats:
    """Latents of usual size, signed zeros, ties of the rounding, and numbers far from 1."""
    special = [0.0, -0.0, 2.0**-21, -3 * 2.0**-21, 1e-45, -1e-45, 1e-38, 16.0, -17.0, 1e30, -1e5]
    usual = np.random.default_rng(0).standard_normal((40, latent))
    chosen = np.random.default_rng(1).choice(np.array(special), (200, latent))
    return np.concatenate([usual, chosen]).astype(np.float32)


def layer(shape: tuple[int, int], exponent: int, seed: int) -> Dense:
    weight = np.random.default_rng(seed).integers(-300, 300, shape).astype(np.int16)
    out = len(weight)
    bias = np.arange(out, dtype=np.int32) * 5000
    return Dense(weight, bias, np.full(out, exponent, np.int32))


def first_layer(out: int, kept: int, exponent: int) -> LatentDense:
    weight = np.random.default_rng(out).integers(-(2**20), 2**20, (out, kept)).astype(np.int32)
    return LatentDense(weight, np.zeros(out, np.int64), np.full(out, exponent, np.int32))


def flow_of(nets: Sequence[Function], latent: int, *, inverse: bool) -> Function:
    couplings = tuple(Coupling(0 if i % 2 == 0 else 1, net) for i, net in enumerate(nets))
    return (FlowMap(couplings, latent, inverse),)


UNUSUAL_NETS: dict[str, Function] = {
    "a single layer": (first_layer(4, 2, 40),),
    "a first layer that is clamped": (
        first_layer(8, 2, 10),
        ReluLevels(1000),
        layer((4, 8), 12, 1),
    ),
    "large results": (first_layer(8, 2, 33), ReluLevels(1000), layer((4, 8), -90, 1)),
    "tiny results": (first_layer(8, 2, 33), ReluLevels(1000), layer((4, 8), 90, 1)),
}


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("name", EXECUTORS)
def test_special_latents_pass_a_flow_with_the_bytes_of_the_reference(name: str, inverse: bool):
    function = (FlowMap(exact_network("flow").flow, LATENT, inverse),)
    latents = far_and_special_latents(LATENT)
    result = EXECUTORS[name](function, (LATENT,))(latents)
    assert result.tobytes() == reference(function, (LATENT,))(latents).tobytes()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("net", UNUSUAL_NETS)
@pytest.mark.parametrize("name", EXECUTORS)
def test_other_nets_than_the_usual_give_the_bytes_of_the_reference(
    name: str, net: str, inverse: bool
):
    function = flow_of([UNUSUAL_NETS[net]] * 3, 4, inverse=inverse)
    latents = far_and_special_latents(4)
    result = EXECUTORS[name](function, (4,))(latents)
    assert result.tobytes() == reference(function, (4,))(latents).tobytes()


def test_a_coupling_follows_the_specification():
    net = UNUSUAL_NETS["a first layer that is clamped"]
    latents = np.random.default_rng(3).standard_normal((20, 4)).astype(np.float32)
    results = reference(net, (2,))(np.ascontiguousarray(latents[:, ::2]))
    u = reference(flow_of([net], 4, inverse=False), (4,))(latents)
    z = reference(flow_of([net], 4, inverse=True), (4,))(latents)
    for row in range(20):
        for i, place in enumerate((1, 3)):
            raw, shift = results[row, i], results[row, 2 + i]
            rounded = max(-49152, min(49152, round(float(raw) * 4096))) / 4096
            scale, inverse = (
                np.float32(math.exp(2 * math.tanh(r / 2))) for r in (rounded, -rounded)
            )
            c = latents[row, place]
            assert u[row, place] == np.float32(np.float32(c * scale) + shift)
            assert u[row, 4 + i] == scale
            assert z[row, place] == np.float32(np.float32(c - shift) * inverse)
    assert np.array_equal(u[:, :4:2], latents[:, ::2])


@pytest.mark.parametrize("name", EXECUTORS)
def test_densities_through_the_flow_are_those_of_the_reference(name: str):
    z = np.random.default_rng(2).standard_normal((9, LATENT)).astype(np.float32)
    network, spec = exact_network("flow"), SPECS["flow"]
    results, expected = (
        ExactModel(network, spec, make).log_joint(images("flow", 9), z)
        for make in (EXECUTORS[name], reference)
    )
    assert [r.tobytes() for r in results] == [e.tobytes() for e in expected]


def test_the_mean_of_an_encoded_image_is_the_image_of_its_mean_under_the_flow():
    model = ExactModel(exact_network("flow"), SPECS["flow"], OnnxExecutor)
    levels = images("flow", 12)
    assert np.array_equal(model.encode(levels)[0], model.to_u(model.posterior(levels)[0]))


def test_images_are_decoded_by_one_call_through_the_flow_and_the_decoder():
    calls = []

    class Counted(OnnxExecutor):
        def __call__(self, batch: Floats) -> Floats:
            calls.append(len(batch))
            return super().__call__(batch)

    model = ExactModel(exact_network("flow"), SPECS["flow"], Counted)
    u = np.random.default_rng(0).standard_normal((7, LATENT)).astype(np.float32)
    logits = model.logits_of_u(u)
    assert calls == [7]
    assert np.array_equal(logits, model.logits(model.to_z(u)))


def test_loading_makes_no_executor_for_each_coupling():
    made = []

    def make(function: Function, shape: Sequence[int]) -> Executor:
        made.append(function)
        return OnnxExecutor(function, shape)

    model = ExactModel(exact_network("flow"), SPECS["flow"], make)
    assert len(made) == 3  # encoder, flow to u, and flow to z with the decoder
    model.to_z(model.to_u(np.zeros((1, LATENT), np.float32)))
    assert len(made) == 4


@pytest.mark.parametrize("inverse", [False, True])
def test_the_graph_of_a_flow_passes_the_checker_of_onnx(inverse: bool):
    network = exact_network("flow")
    flow = FlowMap(network.flow, LATENT, inverse)
    functions = [(flow,), (flow, *network.decode)] if inverse else [(flow,)]
    for function in functions:
        model = onnx.load_from_string(to_onnx(function, (LATENT,)))
        onnx.checker.check_model(model, full_check=False)


def test_a_flow_within_a_file_s_function_is_not_proved():
    network = exact_network("flow")
    decode = (FlowMap(network.flow, LATENT, inverse=True), *network.decode)
    broken = type(network)(network.encode, decode, network.flow)
    with pytest.raises(ProofError, match=r"decode\.0 .* proved by the nets of its couplings"):
        prove(broken, SPECS["flow"])
