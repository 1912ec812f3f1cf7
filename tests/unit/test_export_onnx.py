"""Exported ONNX graphs give what the service gives, and need nothing of it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model_store.__main__ import main
from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.executors.onnx_runtime import onnxruntime
from model_store.arithmetic.model import ExactModel, fixed_inputs
from model_store.exporting.onnx_exact import exact_graphs
from model_store.exporting.onnx_float import float_graphs
from model_store.preprocessing import to_bytes
from model_store.spec import Manifest, ModelRef, ModelSpec
from model_store.store import SHIPPED, Store
from model_store.vae import VAE
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae, images
from tests.unit.models import a_card, publish_tiny, tiny_description, tiny_weights

ROOT = Path(__file__).parents[2]
KINDS = tuple(SPECS)


def run(content: bytes, **inputs: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return [np.asarray(each) for each in session.run(None, inputs)]


def manifest_of(spec: ModelSpec, tmp_path: Path, vae: VAE | None = None) -> Manifest:
    weights = tiny_weights(spec=spec) if vae is None else vae.state_dict()
    return Store(tmp_path).publish("mine", tiny_description(spec), weights, card=a_card)


def latents(kind: str, rows: int = 7) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    generator = np.random.default_rng(1)
    return generator.standard_normal((rows, SPECS[kind].latent), np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_of_an_exact_version_give_the_bytes_of_the_service(
    kind: str, tmp_path: Path
) -> None:
    network, spec = exact_network(kind), SPECS[kind]
    model = ExactModel(network, spec, lambda program, _: NumpyExecutor(program))
    files = exact_graphs(network, manifest_of(spec, tmp_path))

    (image,) = run(files["decoder.onnx"], latents=latents(kind))
    mu, logvar = run(files["encoder.onnx"], image=images(kind, 7))

    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, model.decode(latents(kind)))
    for result, expected in zip((mu, logvar), model.posterior(images(kind, 7)), strict=True):
        assert result.tobytes() == expected.tobytes()
    assert ("flow.onnx" in files) == (spec.prior is not None)
    if spec.prior is not None:
        (u,) = run(files["flow.onnx"], mu=mu)
        assert u.tobytes() == model.to_u(mu).tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_graphs_of_a_float_version_are_within_one_grey_level(kind: str, tmp_path: Path) -> None:
    vae, grey = float_vae(kind), images(kind, 7)
    files = float_graphs(vae, manifest_of(SPECS[kind], tmp_path, vae))

    (image,) = run(files["decoder.onnx"], latents=latents(kind))
    mu, logvar = run(files["encoder.onnx"], image=grey)

    x, u = torch.from_numpy(grey).float() / 255, torch.from_numpy(latents(kind))
    expected = to_bytes(vae.mean_image(vae.decode(u)).numpy())
    assert np.abs(image.astype(int) - expected.astype(int)).max() <= 1
    for result, tensor in zip((mu, logvar), vae.posterior(x), strict=True):
        np.testing.assert_allclose(result, tensor.numpy(), rtol=1e-4, atol=1e-5)
    if vae.flow is not None:
        (u_of_mu,) = run(files["flow.onnx"], mu=mu)
        expected_u = vae.to_u(torch.from_numpy(mu)).numpy()
        np.testing.assert_allclose(u_of_mu, expected_u, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("exact", [True, False])
def test_graphs_use_a_pinned_opset_and_no_operator_of_others(
    kind: str, exact: bool, tmp_path: Path
) -> None:
    manifest = manifest_of(SPECS[kind], tmp_path)
    graphs = (
        exact_graphs(exact_network(kind), manifest)
        if exact
        else float_graphs(float_vae(kind), manifest)
    )
    for content in graphs.values():
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model, full_check=True)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        assert {node.domain for node in model.graph.node} == {""}


def test_a_graph_names_its_version_and_its_classes(tmp_path: Path) -> None:
    description = tiny_description(SPECS["mlp"]).model_copy(update={"classes": ("a", "b")})
    manifest = Store(tmp_path).publish(
        "mine", description, None, network=exact_network("mlp"), card=a_card
    )

    content = exact_graphs(exact_network("mlp"), manifest)["decoder.onnx"]

    entries = {each.key: each.value for each in onnx.load_from_string(content).metadata_props}
    assert entries["zserve.model"] == "mine@1"
    assert entries["zserve.function"] == "decoder"
    assert entries["zserve.arithmetic"] == "exact-1"
    assert entries["zserve.weights_sha256"] == manifest.weights_sha256
    assert json.loads(entries["zserve.classes"]) == ["a", "b"]
    assert ModelSpec.model_validate_json(entries["zserve.spec"]) == SPECS["mlp"]


@pytest.mark.parametrize("name", ["mnist", "fashion-flow"])
def test_a_shipped_version_is_exported_with_the_bytes_that_are_served(
    name: str, tmp_path: Path
) -> None:
    assert main(["export", name, "--store", str(SHIPPED), "--onnx", str(tmp_path / "out")]) == 0

    stored = Store(SHIPPED).load(ModelRef.parse(name))
    assert stored.network is not None
    model = ExactModel(stored.network, stored.spec, lambda program, _: NumpyExecutor(program))
    levels, u = fixed_inputs(stored.spec)
    (image,) = run((tmp_path / "out/decoder.onnx").read_bytes(), latents=u)
    np.testing.assert_array_equal(image, model.decode(u))
    mu, logvar = run((tmp_path / "out/encoder.onnx").read_bytes(), image=levels)
    for result, expected in zip((mu, logvar), model.posterior(levels), strict=True):
        assert result.tobytes() == expected.tobytes()


def test_exact_versions_are_exported_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from model_store.__main__ import main; "
        f"assert main(['export', 'lab', '--store', {str(SHIPPED)!r}, '--onnx', 'out']) == 0; "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "decoder.onnx",
        "encoder.onnx",
    ]


def test_a_float_version_is_exported_by_the_command(tmp_path: Path) -> None:
    publish_tiny(Store(tmp_path / "store"))
    out = tmp_path / "a/b"
    assert main(["export", "tiny", "--store", str(tmp_path / "store"), "--onnx", str(out)]) == 0
    (image,) = run((out / "decoder.onnx").read_bytes(), latents=np.zeros((2, 3), np.float32))
    assert image.shape == (2, 1, 4, 4)


def test_an_export_needs_a_version_and_a_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_tiny(Store(tmp_path))
    store = ["--store", str(tmp_path)]
    assert main(["export", "tiny", *store]) == 2
    assert "--onnx FOLDER" in capsys.readouterr().err
    assert main(["export", "nobody", *store, "--onnx", str(tmp_path / "out")]) == 2
    assert "no model 'nobody'" in capsys.readouterr().err
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main(["export", "tiny", *store, "--onnx", str(taken / "out")]) == 1
    assert "cannot write" in capsys.readouterr().err
