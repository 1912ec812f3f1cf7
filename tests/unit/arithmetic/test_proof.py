from dataclasses import replace

import numpy as np
import pytest

from model_store.arithmetic import certificate, file
from model_store.arithmetic.program import (
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    ExactNetwork,
    Function,
    Join,
    LatentDense,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)
from model_store.arithmetic.proof import ProofError, prove
from model_store.errors import CorruptVersionError
from tests.unit.arithmetic.networks import SPECS, exact_network


def first(function: Function, kind: type[Operation]) -> int:
    return next(i for i, operation in enumerate(function) if isinstance(operation, kind))


def replaced(network: ExactNetwork, name: str, place: int, operation: Operation) -> ExactNetwork:
    function = list(getattr(network, name))
    function[place] = operation
    if name == "encode":
        return replace(network, encode=tuple(function))
    return replace(network, decode=tuple(function))


@pytest.mark.parametrize("kind", SPECS)
def test_a_quantised_network_is_proved(kind: str):
    prove(exact_network(kind), SPECS[kind])


@pytest.mark.parametrize(
    ("kind", "name", "layer"),
    [
        ("mlp", "encode", Dense),
        ("mlp", "decode", LatentDense),
        ("conv", "encode", Convolution),
        ("conv", "decode", Deconvolution),
        ("colour", "encode", Affine),
    ],
)
def test_a_bias_that_lets_a_sum_reach_the_limit_is_refused(
    kind: str, name: str, layer: type[Operation]
):
    network = exact_network(kind)
    place = first(getattr(network, name), layer)
    operation = getattr(network, name)[place]
    bias = operation.bias.copy()
    bias[-1] = 2**53 if layer is LatentDense else 2**24
    with pytest.raises(ProofError, match="a sum can reach"):
        prove(replaced(network, name, place, replace(operation, bias=bias)), SPECS[kind])


def test_the_limit_counts_the_taps_that_meet_and_no_others():
    network = exact_network("conv")
    place = first(network.decode, Deconvolution)
    layer = network.decode[place]
    assert isinstance(layer, Deconvolution)
    highest = next(o for o in reversed(network.decode[:place]) if isinstance(o, ReluLevels)).highest
    # One tap of each channel is the largest that the sum of one phase allows; there is no bias.
    channels = layer.weight.shape[0]
    largest = (2**24 - 1) // (highest * channels)
    weight = np.zeros_like(layer.weight)
    weight[:, :, 0, 0] = weight[:, :, 0, 1] = min(largest, 2**15 - 1)
    bias = np.zeros_like(layer.bias)
    prove(
        replaced(network, "decode", place, replace(layer, weight=weight, bias=bias)), SPECS["conv"]
    )


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_that_is_not_positive_is_refused(scale: float):
    network = exact_network("residual")
    place = first(network.encode, SiluLevels)
    layer = network.encode[place]
    assert isinstance(layer, SiluLevels)
    bad = layer.scale.copy()
    bad[0] = scale
    with pytest.raises(ProofError, match="not positive"):
        prove(replaced(network, "encode", place, replace(layer, scale=bad)), SPECS["residual"])


def test_a_scale_with_a_point_on_a_rounding_boundary_is_refused():
    network = exact_network("residual")
    place = first(network.encode, SiluLevels)
    layer = network.encode[place]
    assert isinstance(layer, SiluLevels)
    x = 3.0
    silu = x / (1 + np.exp(-x))
    bad = layer.scale.copy()
    bad[0] = np.float32(20.5 / silu)
    with pytest.raises(ProofError, match="not certified"):
        prove(replaced(network, "encode", place, replace(layer, scale=bad)), SPECS["residual"])


def test_a_layer_of_real_values_is_refused():
    network = exact_network("mlp")
    encode = tuple(o for o in network.encode if not isinstance(o, ReluLevels))
    with pytest.raises(ProofError, match="needs integers, got real"):
        prove(replace(network, encode=encode), SPECS["mlp"])


def test_a_join_without_a_fork_is_refused():
    network = exact_network("mlp")
    with pytest.raises(ProofError, match="without a fork"):
        prove(replace(network, encode=(*network.encode, Join())), SPECS["mlp"])


def test_a_network_of_another_spec_is_refused():
    with pytest.raises(ProofError):
        prove(exact_network("mlp"), SPECS["conv"])
    with pytest.raises(ProofError, match="the spec asks for"):
        prove(exact_network("flow"), SPECS["mlp"].model_copy(update={"latent": 5}))


def test_a_reshape_that_loses_pixels_is_refused():
    network = exact_network("mlp")
    place = first(network.encode, Reshape)
    with pytest.raises(ProofError, match="cannot be"):
        prove(replaced(network, "encode", place, Reshape((35,))), SPECS["mlp"])


@pytest.mark.parametrize("kind", SPECS)
def test_a_network_survives_its_file(kind: str):
    content = file.to_bytes(exact_network(kind))
    assert file.to_bytes(file.from_bytes(content)) == content


@pytest.mark.parametrize(
    ("before", "after"), [(b"exact-1", b"exact-9"), (b"relu_levels", b"rely_levels")]
)
def test_a_file_of_another_arithmetic_or_operation_is_refused(before: bytes, after: bytes):
    content = file.to_bytes(exact_network("mlp")).replace(before, after)
    with pytest.raises(CorruptVersionError):
        file.from_bytes(content)


def test_a_file_cut_short_is_refused():
    content = file.to_bytes(exact_network("mlp"))
    for length in (0, 7, 100, len(content) - 1):
        with pytest.raises(CorruptVersionError):
            file.from_bytes(content[:length])


def test_a_certified_scale_rounds_alike_for_every_sigmoid_within_the_allowed_error():
    highest, exponent = 511, 7
    scale = float(certificate.nearest_certified_scale(60.0, exponent, highest))
    n = np.arange(-24 * 2**exponent, 12 * 2**exponent)
    x = n * 2.0**-exponent
    sigmoid = 1 / (1 + np.exp(-x))
    expected = np.minimum(np.rint(scale * x * sigmoid), highest)
    for error in (-certificate.SIGMOID_ERROR, certificate.SIGMOID_ERROR):
        assert np.array_equal(np.minimum(np.rint(scale * x * (sigmoid + error)), highest), expected)
