"""Models of tutorials: trained by their recipe, imported without their code, and measured."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from model_store.__main__ import main as store_main
from model_store.graphs.network import GraphNetwork
from model_store.graphs.pair import DECODER, ENCODER
from model_store.spec import MLP, ModelRef
from model_store.store import Store, StoredModel
from model_store.vae import build_vae
from tests.training.conftest import call, strokes
from tests.training.recipes import PyTorchExamplesVAE, as_pythae, train_pytorch_example
from training.evaluation.served import served_vae

LAYOUTS = {
    "pytorch-examples": lambda model: model.state_dict(),
    "pythae-mlp": as_pythae,
}


@pytest.fixture(scope="module")
def model() -> PyTorchExamplesVAE:
    torch.manual_seed(0)
    images = torch.from_numpy(strokes(512, seed=0)).unsqueeze(1).float() / 255
    return train_pytorch_example(images, hidden=32, latent=4)


def import_weights(model: PyTorchExamplesVAE, layout: str, folder: Path) -> Path:
    """Import the weights as `mine`, and return the store."""
    safetensors.torch.save_file(LAYOUTS[layout](model), folder / "weights.safetensors")
    store = folder / "store"
    assert store_main([
        "import", "--safetensors", str(folder / "weights.safetensors"), "--layout", layout,
        "--name", "mine", "--upload", "digit", "--store", str(store),
    ]) == 0  # fmt: skip
    return store


def load(store: Path, ref: str = "mine@1") -> StoredModel:
    return Store(store).load(ModelRef.parse(ref))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_imported_weights_compute_what_the_tutorials_network_does(
    layout: str, model: PyTorchExamplesVAE, tmp_path: Path
) -> None:
    stored = load(import_weights(model, layout, tmp_path))
    assert stored.spec.network == MLP(hidden=(32,))
    vae = build_vae(stored.spec, stored.weights)
    x, z = torch.rand(6, 1, 28, 28), torch.randn(6, 4)
    with torch.no_grad():
        torch.testing.assert_close(vae.encode(x), model.encode(x.view(-1, 784)))
        torch.testing.assert_close(
            vae.mean_image(vae.decode(z)).flatten(1), model.decode(z), rtol=1e-4, atol=1e-5
        )


def test_weights_that_are_not_of_the_layout_are_refused(
    model: PyTorchExamplesVAE, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, store = tmp_path / "weights.safetensors", tmp_path / "store"
    arguments = [
        "import", "--safetensors", str(path), "--layout", "pytorch-examples", "--name", "mine",
        "--store", str(store),
    ]  # fmt: skip
    state = model.state_dict()
    for changed, reason in (
        ({k: v for k, v in state.items() if k != "fc3.bias"}, "tensor fc3.bias is missing"),
        (state | {"fc5.bias": torch.zeros(3)}, "tensor fc5.bias is not part of the layout"),
        (state | {"fc3.weight": torch.zeros(32)}, "has 1 axes, not 2"),
        (state | {"fc3.weight": torch.zeros(32, 5)}, "the spec asks for"),
        (state | {"fc4.bias": torch.full((784,), torch.nan)}, "NaN or infinite"),
    ):
        safetensors.torch.save_file(changed, path)
        assert store_main(arguments) == 1
        assert reason in capsys.readouterr().err
    path.write_bytes(b"\x80\x04pickle of somebody")
    assert store_main(arguments) == 1
    assert "is unreadable" in capsys.readouterr().err
    assert Store(store).names() == ()


def test_a_tutorials_model_is_measured_and_published_in_the_exact_arithmetic(
    model: PyTorchExamplesVAE, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = import_weights(model, "pytorch-examples", tmp_path)
    common = ("--store", str(store), "--data-dir", str(data_dir), "--threads", "1")
    assert call("evaluate", "mine@1", *common, "--quick") == 2
    assert "measure an imported version by" in capsys.readouterr().err

    assert call("evaluate", "mine@1", *common, "--data", "mnist", "--quick") == 0
    text = capsys.readouterr().out
    assert "published mine@2" in text
    assert "promote mine@2` makes mine mean it" in text

    measured = load(store, "mine@2")
    assert measured.manifest.arithmetic == "exact-1"
    assert measured.manifest.training.preset == "imported"
    assert "test_negative_elbo" in measured.manifest.metrics
    assert "![samples](samples.png)" in Store(store).card(measured.manifest.ref)
    assert call("evaluate", "mine@2", *common, "--quick") == 0
    assert call("evaluate", "mine@2", *common, "--data", "mnist") == 2
    assert "mine@2 has numbers" in capsys.readouterr().err


def test_graphs_of_onnx_are_measured_and_stay_as_they_are(
    model: PyTorchExamplesVAE, tmp_path: Path, data_dir: Path
) -> None:
    """Export the tutorial's encoder and decoder by torch, import, measure."""
    encoder, decoder = tmp_path / "enc.onnx", tmp_path / "dec.onnx"
    write_graphs(model, encoder, decoder)
    store = tmp_path / "store"
    assert store_main([
        "import", "--encoder", str(encoder), "--decoder", str(decoder), "--name", "mine",
        "--upload", "digit", "--store", str(store),
    ]) == 0  # fmt: skip
    common = ("--store", str(store), "--data-dir", str(data_dir), "--threads", "1")

    assert call("evaluate", "mine@1", *common, "--data", "mnist", "--quick") == 0

    first, second = load(store), load(store, "mine@2")
    assert second.manifest.arithmetic == "float"
    assert second.manifest.weights_sha256 == first.manifest.weights_sha256
    assert "### Arithmetic: float" in Store(store).card(second.manifest.ref)
    assert call("evaluate", "mine@2", *common, "--quick") == 0
    images = torch.from_numpy(strokes(64, seed=3)).unsqueeze(1).float() / 255
    with torch.no_grad():
        mu, _ = model.encode(images.view(-1, 784))
        seen = served_vae(second)
        torch.testing.assert_close(seen.posterior(images)[0], mu, rtol=1e-3, atol=1e-4)
        logits = seen.logits(mu)
        torch.testing.assert_close(
            seen.mean_image(logits).flatten(1), model.decode(mu), rtol=1e-3, atol=1e-4
        )
        nats = torch.nn.functional.binary_cross_entropy(
            model.decode(mu), images.flatten(1), reduction="none"
        ).sum(dim=1)
        torch.testing.assert_close(-seen.log_likelihood(images, logits), nats, rtol=1e-3, atol=0.01)


def write_graphs(model: PyTorchExamplesVAE, encoder: Path, decoder: Path) -> None:
    """Write both halves as ONNX, layer by layer, as torch's exporter writes linear layers."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    def save(
        path: Path, nodes: list[tuple[str, list[str], str]], source: str, outputs: list[str]
    ) -> None:
        sizes = {"x": 784, "z": 4, "mu": 4, "logvar": 4, "image": 784}
        values = {
            k: helper.make_tensor_value_info(k, TensorProto.FLOAT, ["n", v])
            for k, v in sizes.items()
        }
        state = {k: numpy_helper.from_array(v.numpy(), k) for k, v in model.state_dict().items()}
        used = {name for _, inputs, _ in nodes for name in inputs}
        options: dict[str, dict[str, Any]] = {"Gemm": {"transB": 1}}
        made = [
            helper.make_node(kind, inputs, [output], **options.get(kind, {}))
            for kind, inputs, output in nodes
        ]
        graph = helper.make_graph(
            made,
            "g",
            [values[source]],
            [values[o] for o in outputs],
            [v for k, v in state.items() if k in used],
        )
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        save_model(proto, str(path))

    def linear(layer: str, source: str, output: str) -> tuple[str, list[str], str]:
        return "Gemm", [source, f"{layer}.weight", f"{layer}.bias"], output

    save(
        encoder,
        [
            linear("fc1", "x", "a"),
            ("Relu", ["a"], "h"),
            linear("fc21", "h", "mu"),
            linear("fc22", "h", "logvar"),
        ],
        "x",
        ["mu", "logvar"],
    )
    save(
        decoder,
        [
            linear("fc3", "z", "a"),
            ("Relu", ["a"], "h"),
            linear("fc4", "h", "l"),
            ("Sigmoid", ["l"], "image"),
        ],
        "z",
        ["image"],
    )


def test_the_keras_layout_needs_its_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({"conv2d/kernel": torch.zeros(3, 3, 1, 32)}, path)
    arguments = [
        "import",
        "--safetensors",
        str(path),
        "--layout",
        "keras-example",
        "--name",
        "mine",
    ]
    assert store_main([*arguments, "--store", str(tmp_path / "store")]) == 1
    assert "the layout has 2 layers conv2d" in capsys.readouterr().err


def keras_tensors(sizes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, shape in sizes.items():
        bias = shape[2] if "transpose" in name else shape[-1]
        tensors[f"{name}/kernel"] = 0.2 * torch.randn(shape, generator=generator)
        tensors[f"{name}/bias"] = 0.1 * torch.randn(bias, generator=generator)
    return tensors


def test_the_keras_layout_pads_as_keras_does(tmp_path: Path) -> None:
    """The oracle is written with torch: padding `same` is 0 before and 1 behind for a stride of 2."""
    tensors = keras_tensors({
        "conv2d": (3, 3, 1, 4), "conv2d_1": (3, 3, 4, 5), "dense": (2 * 2 * 5, 6), "z_mean": (6, 2),
        "z_log_var": (6, 2), "dense_1": (2, 2 * 2 * 5), "conv2d_transpose": (3, 3, 5, 5),
        "conv2d_transpose_1": (3, 3, 4, 5), "conv2d_transpose_2": (3, 3, 1, 4),
    })  # fmt: skip
    path, store = tmp_path / "weights.safetensors", tmp_path / "store"
    safetensors.torch.save_file(tensors, path)
    assert store_main([
        "import", "--safetensors", str(path), "--layout", "keras-example", "--name", "mine",
        "--store", str(store),
    ]) == 0  # fmt: skip
    stored = load(store)
    assert stored.spec.image.shape == (1, 8, 8)
    graphs = [stored.weights[name].tobytes() for name in (ENCODER, DECODER)]
    network = GraphNetwork(stored.spec, graphs[0], graphs[1])

    x, z = torch.rand(3, 1, 8, 8), torch.randn(3, 2)
    mu, logvar = network.encode(x.numpy())
    image = network.decode(z.numpy())

    relu, pad = torch.relu, torch.nn.functional.pad
    kernel = {k.removesuffix("/kernel"): v for k, v in tensors.items() if k.endswith("kernel")}
    bias = {k.removesuffix("/bias"): v for k, v in tensors.items() if k.endswith("bias")}
    h = x
    for name in ("conv2d", "conv2d_1"):
        weight = kernel[name].permute(3, 2, 0, 1)
        h = relu(torch.nn.functional.conv2d(pad(h, (0, 1, 0, 1)), weight, bias[name], stride=2))
    h = relu(h.permute(0, 2, 3, 1).flatten(1) @ kernel["dense"] + bias["dense"])
    np.testing.assert_allclose(mu, (h @ kernel["z_mean"] + bias["z_mean"]).numpy(), atol=1e-5)
    np.testing.assert_allclose(
        logvar, (h @ kernel["z_log_var"] + bias["z_log_var"]).numpy(), atol=1e-5
    )
    h = relu(z @ kernel["dense_1"] + bias["dense_1"]).view(3, 2, 2, 5).permute(0, 3, 1, 2)
    for name, activation in (("", relu), ("_1", relu)):
        layer = f"conv2d_transpose{name}"
        weight = kernel[layer].permute(3, 2, 0, 1)
        whole = torch.nn.functional.conv_transpose2d(h, weight, bias[layer], stride=2)
        h = activation(whole[:, :, :-1, :-1])
    weight = kernel["conv2d_transpose_2"].permute(3, 2, 0, 1)
    h = torch.nn.functional.conv_transpose2d(h, weight, bias["conv2d_transpose_2"], padding=1)
    np.testing.assert_allclose(image, torch.sigmoid(h).numpy(), atol=1e-5)


@pytest.mark.processes
def test_a_model_of_keras_is_imported_by_its_layout(tmp_path: Path) -> None:
    if importlib.util.find_spec("keras") is None:
        pytest.skip("Keras is not installed; `uv pip install --group keras` installs it")
    recipe = Path(__file__).parents[1] / "keras_recipe.py"
    subprocess.run(
        [sys.executable, str(recipe), str(tmp_path)],
        env=os.environ | {"KERAS_BACKEND": "torch"},
        check=True,
        capture_output=True,
    )
    store = tmp_path / "store"
    assert store_main([
        "import", "--safetensors", str(tmp_path / "weights.safetensors"), "--layout", "keras-example",
        "--name", "mine", "--upload", "digit", "--store", str(store),
    ]) == 0  # fmt: skip
    stored = load(store)
    graphs = [stored.weights[name].tobytes() for name in (ENCODER, DECODER)]
    network = GraphNetwork(stored.spec, graphs[0], graphs[1])
    with np.load(tmp_path / "results.npz") as results:
        mu, logvar = network.encode(results["x"].transpose(0, 3, 1, 2))
        np.testing.assert_allclose(mu, results["mean"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(logvar, results["log_var"], rtol=1e-3, atol=1e-4)
        expected = results["image"].transpose(0, 3, 1, 2)
        np.testing.assert_allclose(network.decode(results["z"]), expected, rtol=1e-3, atol=1e-4)
