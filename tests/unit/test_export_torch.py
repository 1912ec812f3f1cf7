"""An exported file of plain PyTorch computes what the version computes, without zserve."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model_store.__main__ import main
from model_store.arithmetic.executors.onnx_executor import OnnxExecutor
from model_store.arithmetic.model import ExactModel
from model_store.exporting.torch_module import torch_files
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store
from tests.unit.arithmetic.networks import SPECS, float_vae
from tests.unit.models import a_card, tiny_description


def load(folder: Path) -> Any:
    """Import the exported file and return its network."""
    module_spec = importlib.util.spec_from_file_location("exported_vae", folder / "vae.py")
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    return module.load()


@pytest.mark.parametrize("kind", SPECS)
def test_the_exported_network_computes_the_same(kind: str, tmp_path: Path) -> None:
    vae, spec = float_vae(kind), SPECS[kind]
    manifest = Store(tmp_path / "store").publish(
        "mine", tiny_description(spec), vae.state_dict(), card=a_card
    )
    for name, content in torch_files(vae, manifest).items():
        (tmp_path / name).write_bytes(content)

    exported = load(tmp_path)

    x, u = torch.rand(5, *spec.image.shape), torch.randn(5, spec.latent)
    with torch.no_grad():
        mu, logvar = exported.posterior(x)
        expected_mu, expected_logvar = vae.posterior(x)
        assert torch.equal(mu, expected_mu)
        assert torch.equal(logvar, expected_logvar)
        assert torch.equal(exported.latents(mu), vae.to_u(mu))
        assert torch.equal(exported.decode(u), vae.mean_image(vae.decode(u)))
        assert exported.sample(3).shape == (3, *spec.image.shape)


@pytest.mark.parametrize("name", ["mnist", "fashion-flow"])
def test_float_weights_derived_from_a_shipped_version_draw_nearly_the_same(
    name: str, tmp_path: Path
) -> None:
    arguments = ["export", name, "--store", str(SHIPPED), "--torch", str(tmp_path)]
    assert main(arguments) == 0

    stored = Store(SHIPPED).load(ModelRef.parse(name))
    assert stored.network is not None
    model = ExactModel(stored.network, stored.spec, OnnxExecutor)
    u = np.random.default_rng(0).standard_normal((64, stored.spec.latent), np.float32)
    with torch.no_grad():
        images = load(tmp_path).decode(torch.from_numpy(u)).numpy()
    difference = np.abs(255 * images - model.decode(u))
    assert difference.mean() < 0.6
    assert np.percentile(difference, 99) < 8


@pytest.mark.processes
def test_the_exported_files_need_no_zserve(tmp_path: Path) -> None:
    arguments = ["export", "fashion-flow", "--store", str(SHIPPED), "--torch", str(tmp_path)]
    assert main(arguments) == 0
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from vae import load\n"
        "print(tuple(load().sample(2).shape)); sys.exit('model_store' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "(2, 1, 28, 28)\n"), done.stderr
