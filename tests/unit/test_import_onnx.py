"""Encoders and decoders of others are imported, and serve what they compute."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper

from model_store.__main__ import main
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.model import ExactModel, fixed_inputs
from model_store.errors import FloatWeightsNotFoundError
from model_store.graphs.graph import OnnxGraph
from model_store.graphs.network import GraphNetwork
from model_store.graphs.pair import DECODER, ENCODER
from model_store.graphs.reading import read_graph
from model_store.graphs.writing import write_graph
from model_store.preprocessing import to_bytes
from model_store.spec import ModelRef, Onnx
from model_store.store import SHIPPED, Store, StoredModel
from tests.unit import onnx_models
from tests.unit.onnx_models import IMAGE, LATENT, PIXELS, Array, changed, decoder, encoder, write

Z = np.random.default_rng(1).standard_normal((5, LATENT)).astype(np.float32)
X = np.random.default_rng(2).random((5, *IMAGE)).astype(np.float32)


def imported(tmp_path: Path, encoder_file: bytes, decoder_file: bytes, *more: str) -> StoredModel:
    arguments = write(tmp_path, encoder_file, decoder_file)
    store = tmp_path / "store"
    assert main(["import", "--store", str(store), *arguments, *more]) == 0
    return Store(store).load(ModelRef.parse("mine@1"))


def network(stored: StoredModel) -> GraphNetwork:
    encoder_file, decoder_file = (stored.weights[name].tobytes() for name in (ENCODER, DECODER))
    return GraphNetwork(stored.spec, encoder_file, decoder_file)


def onnx_of(stored: StoredModel) -> Onnx:
    assert isinstance(stored.spec.network, Onnx)
    return stored.spec.network


def test_an_imported_pair_computes_what_its_graphs_say(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(), decoder())
    assert stored.spec.image.shape == IMAGE
    assert stored.spec.latent == LATENT
    vae = network(stored)
    np.testing.assert_allclose(vae.decode(Z), onnx_models.expected_mean(Z), atol=1e-6)
    for result, expected in zip(vae.encode(X), onnx_models.expected_posterior(X), strict=True):
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_the_card_says_that_it_is_served_in_float(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(), decoder())
    assert stored.manifest.arithmetic == "float"
    card = Store(tmp_path / "store").card(stored.manifest.ref)
    assert "arithmetic: float" in card
    assert "from machine to machine" in card


@pytest.mark.parametrize(
    ("source", "layout"),
    [
        (("n", 1, 4, 4), "channels_first"),
        (("n", 4, 4, 1), "channels_last"),
        (("n", 4, 4), "plane"),
        (("n", PIXELS), "flat"),
    ],
)
def test_images_may_be_in_any_layout(
    source: tuple[str | int, ...], layout: str, tmp_path: Path
) -> None:
    shape = [int(str(side)) for side in source[1:]]
    stored = imported(tmp_path, encoder(layout=source), decoder(shape=shape))
    assert onnx_of(stored).encoder_layout == onnx_of(stored).decoder_layout == layout
    vae = network(stored)
    np.testing.assert_allclose(vae.decode(Z), onnx_models.expected_mean(Z), atol=1e-6)
    np.testing.assert_allclose(vae.encode(X)[0], onnx_models.expected_posterior(X)[0], atol=1e-5)


def test_logits_are_told_from_images_by_their_range(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(), decoder(last="Identity"))
    assert onnx_of(stored).decoder_pixels == "logits"
    np.testing.assert_allclose(network(stored).decode(Z), onnx_models.expected_mean(Z), atol=1e-6)


def signed_expectation() -> Array:
    mean = onnx_models.expected_mean(Z)
    shifted: Array = np.tanh(np.log(mean) - np.log1p(-mean)) / 2 + 0.5
    return shifted


def test_pixels_of_a_tanh_are_shifted_from_minus_1_to_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = imported(tmp_path, encoder(), decoder(last="Tanh"))
    assert "taken to be in [-1, 1]" in capsys.readouterr().out
    vae = network(stored)
    np.testing.assert_allclose(vae.decode(Z), signed_expectation(), atol=1e-6)
    for result, expected in zip(
        vae.encode(X), onnx_models.expected_posterior(2 * X - 1), strict=True
    ):
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_a_user_may_say_which_pixels_graphs_have(tmp_path: Path) -> None:
    def mean(pixels: str, last: str) -> Array:
        folder = tmp_path / f"{pixels}-{last}"
        folder.mkdir()
        return network(imported(folder, encoder(), decoder(last=last), "--pixels", pixels)).decode(
            Z
        )

    logits = np.log(onnx_models.expected_mean(Z)) - np.log1p(-onnx_models.expected_mean(Z))
    np.testing.assert_allclose(mean("unit", "Identity"), logits.clip(0, 1), atol=1e-6)
    np.testing.assert_allclose(mean("signed", "Identity"), ((logits + 1) / 2).clip(0, 1), atol=1e-6)
    np.testing.assert_allclose(
        mean("logits", "Tanh"), 1 / (1 + np.exp(-np.tanh(logits))), atol=1e-6
    )


def test_pixels_are_not_said_of_uint8_and_of_networks_that_give_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "lab", "--store", str(SHIPPED), "--onnx", str(tmp_path)]) == 0
    grey = [
        "--encoder",
        str(tmp_path / "encoder.onnx"),
        "--decoder",
        str(tmp_path / "decoder.onnx"),
    ]
    common = ["--name", "mine", "--store", str(tmp_path / "store"), "--pixels", "signed"]
    assert main(["import", *grey, *common]) == 1
    assert "grey levels 0 to 255, as uint8; leave --pixels out" in capsys.readouterr().err
    weights = ["--safetensors", "weights.safetensors", "--layout", "pytorch-examples"]
    with pytest.raises(SystemExit, match="2"):
        main(["import", *weights, *common])
    assert "leave --pixels out" in capsys.readouterr().err


def test_likelihoods_of_images_and_of_logits_agree(tmp_path: Path) -> None:
    mean = onnx_models.expected_mean(Z).reshape(5, -1)
    x = X.reshape(5, -1)
    expected = (x * np.log(mean) + (1 - x) * np.log1p(-mean)).sum(axis=1)
    for last in ("Sigmoid", "Identity"):
        folder = tmp_path / last
        folder.mkdir()
        vae = network(imported(folder, encoder(), decoder(last=last)))
        np.testing.assert_allclose(vae.log_likelihood(X, Z), expected, rtol=1e-4)


def test_an_encoder_may_give_mu_and_logvar_in_one_output(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(joined=True), decoder())
    assert onnx_of(stored).posterior == "joined"
    for result, expected in zip(
        network(stored).encode(X), onnx_models.expected_posterior(X), strict=True
    ):
        np.testing.assert_allclose(result, expected, atol=1e-5)


def test_an_encoder_without_a_spread_is_a_point_and_the_card_says_so(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(), decoder(), "--encoder-outputs", "mu")
    assert onnx_of(stored).posterior == "point"
    assert "without a spread" in Store(tmp_path / "store").card(stored.manifest.ref)
    assert np.unique(network(stored).encode(X)[1]).tolist() == [-9.0]


def test_outputs_that_are_not_needed_are_left_out_with_their_sampling(tmp_path: Path) -> None:
    def sample(proto: onnx.ModelProto) -> None:
        node = helper.make_node("RandomNormalLike", ["mu"], ["z"])
        proto.graph.node.append(node)
        proto.graph.output.append(
            helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, ["n", LATENT])
        )

    stored = imported(tmp_path, changed(encoder(), sample), decoder())
    kept = read_graph(stored.weights[ENCODER].tobytes())
    assert {node.operator for node in kept.nodes} == {"Flatten", "MatMul"}


def test_weights_in_a_file_beside_the_graph_are_read(tmp_path: Path) -> None:
    proto = onnx.load_from_string(decoder())
    external_data_helper.convert_model_to_external_data(
        proto, location="dec.onnx.data", size_threshold=0
    )
    arguments = write(tmp_path, encoder(), decoder())
    onnx.save_model(proto, str(tmp_path / "dec.onnx"))
    assert (tmp_path / "dec.onnx.data").stat().st_size > 0
    store = tmp_path / "store"
    assert main(["import", "--store", str(store), *arguments]) == 0
    stored = Store(store).load(ModelRef.parse("mine"))
    np.testing.assert_allclose(network(stored).decode(Z), onnx_models.expected_mean(Z), atol=1e-6)


def test_a_graph_is_written_as_it_was_read() -> None:
    for content in (encoder(), decoder()):
        graph = read_graph(content)
        again = read_graph(write_graph(graph))
        assert again.nodes == graph.nodes
        assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
        assert_same_constants(again, graph)
        assert write_graph(again) == write_graph(graph)


def assert_same_constants(one: OnnxGraph, other: OnnxGraph) -> None:
    assert one.constants.keys() == other.constants.keys()
    for name, array in one.constants.items():
        np.testing.assert_array_equal(array, other.constants[name])


def as_typed_data(proto: onnx.ModelProto) -> None:
    """Store constants as lists of numbers instead of raw bytes."""
    for tensor in proto.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        typed = helper.make_tensor(tensor.name, tensor.data_type, array.shape, array.ravel())
        tensor.CopyFrom(typed)


@pytest.mark.parametrize("change", [as_typed_data])
def test_constants_may_be_lists_of_numbers(
    change: Callable[[onnx.ModelProto], None], tmp_path: Path
) -> None:
    stored = imported(tmp_path, changed(encoder(), change), changed(decoder(), change))
    np.testing.assert_allclose(network(stored).decode(Z), onnx_models.expected_mean(Z), atol=1e-6)


def test_an_exported_version_comes_back_with_the_bytes_that_it_had(tmp_path: Path) -> None:
    assert main(["export", "lab", "--store", str(SHIPPED), "--onnx", str(tmp_path)]) == 0
    enc, dec = ((tmp_path / name).read_bytes() for name in ("encoder.onnx", "decoder.onnx"))
    stored = imported(tmp_path, enc, dec, "--upload", "digit")
    source = Store(SHIPPED).load(ModelRef.parse("lab"))
    assert source.network is not None
    model = ExactModel(source.network, source.spec, OnnxExecutor)
    levels, u = fixed_inputs(source.spec)
    vae = network(stored)
    np.testing.assert_array_equal(to_bytes(vae.decode(u)), model.decode(u))
    mu, logvar = vae.encode(levels.astype(np.float32) / np.float32(255))
    for result, expected in zip((mu, logvar), model.encode(levels), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_an_imported_pair_is_exported_as_it_is_served(tmp_path: Path) -> None:
    stored = imported(tmp_path, encoder(), decoder())
    store, out = str(tmp_path / "store"), tmp_path / "out"
    assert main(["export", "mine", "--store", store, "--onnx", str(out)]) == 0
    assert (out / "decoder.onnx").read_bytes() == stored.weights[DECODER].tobytes()
    onnx.checker.check_model(onnx.load(str(out / "encoder.onnx")), full_check=True)


def test_graphs_have_no_layers_to_train_or_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, encoder(), decoder())
    store = tmp_path / "store"
    with pytest.raises(FloatWeightsNotFoundError, match="consists of graphs of ONNX"):
        Store(store).float_weights(ModelRef.parse("mine"))
    assert main(["export", "mine", "--store", str(store), "--torch", str(tmp_path / "out")]) == 2
    assert "consists of graphs of ONNX" in capsys.readouterr().err
