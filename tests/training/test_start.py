"""A run can begin with the weights of a published version."""

from pathlib import Path

import pytest
import torch

from model_store.spec import ModelRef
from model_store.store import Store
from model_store.vae import build_vae
from tests.training.test_cli import call

LAB = ("--epochs", "1", "--threads", "1", "--device", "cpu", "--evaluation", "quick")
STILL = "--set=optimiser.learning_rate=1e-12"


def preset(folder: Path, model: str) -> Path:
    path = folder / "second.toml"
    path.write_text(
        f'summary = "the second"\nstart = "lab@1"\ndata = {{ dataset = "mnist" }}\nmodel = {model}\n'
    )
    return path


@pytest.fixture
def store(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "store"
    command = ("train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(folder))
    assert call(monkeypatch, *command, *LAB) == 0
    return folder


def test_without_a_step_the_weights_are_those_of_the_version_and_the_flow_is_the_identity(
    store: Path, tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    path = preset(
        tmp_path, '{ latent = 20, network = { kind = "mlp" }, prior = { couplings = 2 } }'
    )
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store", str(store))
    assert call(monkeypatch, *command, *LAB, STILL) == 0
    stored = [Store(store).load(ModelRef.parse(name)) for name in ("lab@1", "second@1")]
    first, second = (build_vae(model.spec, model.weights) for model in stored)
    z = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(second.decode(z), first.decode(z), atol=1e-4, rtol=0)
        assert second.flow is not None
        torch.testing.assert_close(second.flow(z)[0], z, atol=1e-4, rtol=0)


def test_weights_that_do_not_fit_are_one_line_and_exit_2(
    store: Path,
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    path = preset(tmp_path, '{ latent = 21, network = { kind = "mlp" } }')
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store", str(store))
    capsys.readouterr()
    assert call(monkeypatch, *command, *LAB) == 2
    line = capsys.readouterr().err.strip()
    assert "lab@1 does not fit" in line
    assert "size mismatch" in line


def test_a_version_that_is_nowhere_is_said(
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    path = preset(tmp_path, '{ latent = 20, network = { kind = "mlp" } }')
    path.write_text(path.read_text().replace("lab@1", "nobody@7"))
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store")
    assert call(monkeypatch, *command, str(tmp_path / "store"), *LAB) == 1
    assert "nobody" in capsys.readouterr().err
