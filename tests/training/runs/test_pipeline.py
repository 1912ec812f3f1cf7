from pathlib import Path

import pytest
import torch

from model_store.spec import ModelRef
from model_store.store import Store
from model_store.vae import build_vae
from model_store.vae.derived import derive_vae
from tests.training.conftest import call

LAB = ("--epochs", "1", "--threads", "1", "--device", "cpu", "--evaluation", "quick")
STILL = "--set=optimiser.learning_rate=1e-12"


def preset(folder: Path, model: str) -> Path:
    path = folder / "second.toml"
    path.write_text(
        f'summary = "the second"\nstart = "lab@1"\ndata = {{ dataset = "mnist" }}\nmodel = {model}\n'
    )
    return path


@pytest.fixture
def store(tmp_path: Path, data_dir: Path) -> Path:
    folder = tmp_path / "store"
    command = ("train", "--preset", "lab", "--data-dir", str(data_dir), "--store", str(folder))
    assert call(*command, *LAB) == 0
    return folder


def test_training_starts_with_the_weights_of_the_version_and_an_identity_flow(
    store: Path, tmp_path: Path, data_dir: Path
):
    path = preset(
        tmp_path, '{ latent = 20, network = { kind = "mlp" }, prior = { couplings = 2 } }'
    )
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store", str(store))
    assert call(*command, *LAB, STILL) == 0
    models, refs = Store(store), [ModelRef.parse(name) for name in ("lab@1", "second@1")]
    first, second = (
        build_vae(models.manifest(ref).spec, models.float_weights(ref)) for ref in refs
    )
    z = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(second.decode(z), first.decode(z), atol=1e-4, rtol=0)
        assert second.flow is not None
        torch.testing.assert_close(second.flow(z)[0], z, atol=1e-4, rtol=0)


def test_training_starts_with_weights_derived_from_a_version_without_float_ones(
    store: Path, tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
):
    assert call(
        "republish", "lab@1", "--store", str(store), "--data-dir", str(data_dir), "--threads", "1",
        "--evaluation", "quick", "--without-float-weights",
    ) == 0  # fmt: skip
    path = preset(tmp_path, '{ latent = 20, network = { kind = "mlp" } }')
    path.write_text(path.read_text().replace("lab@1", "lab@2"))
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store", str(store))
    assert call(*command, *LAB, STILL) == 0
    models = Store(store)
    exact = models.load(ModelRef.parse("lab@2"))
    assert exact.network is not None
    second = ModelRef.parse("second@1")
    started = build_vae(models.manifest(second).spec, models.float_weights(second))
    z = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = derive_vae(exact.network, exact.spec).decode(z)
        torch.testing.assert_close(started.decode(z), expected, atol=0.01, rtol=0.01)


def test_weights_that_do_not_fit_exit_with_2_and_one_line(
    store: Path,
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    path = preset(tmp_path, '{ latent = 21, network = { kind = "mlp" } }')
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store", str(store))
    capsys.readouterr()
    assert call(*command, *LAB) == 2
    line = capsys.readouterr().err.strip()
    assert "lab@1 does not fit" in line
    assert "size mismatch" in line


def test_the_error_for_a_missing_start_names_it(
    tmp_path: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    path = preset(tmp_path, '{ latent = 20, network = { kind = "mlp" } }')
    path.write_text(path.read_text().replace("lab@1", "nobody@7"))
    command = ("train", "--preset", str(path), "--data-dir", str(data_dir), "--store")
    assert call(*command, str(tmp_path / "store"), *LAB) == 1
    assert "nobody" in capsys.readouterr().err
