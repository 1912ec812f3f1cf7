"""Every preset trains on made images from the command line and publishes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_store.spec import Conv, ModelRef
from model_store.store import Store
from tests.training.conftest import write_mnist
from tests.training.test_cli import call
from training.config import differences, load_preset, preset_names

QUICK = ("--epochs", "1", "--threads", "1", "--device", "cpu", "--evaluation", "quick")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST, Fashion-MNIST and a folder of colour images, all of them made."""
    folder = tmp_path_factory.mktemp("made")
    write_mnist(folder, train=160, test=32)
    (folder / "FashionMNIST").symlink_to(folder / "MNIST")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 20, 24, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = folder / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains_and_publishes(
    name: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    preset = load_preset(name)
    data_dir = made / "photos" if preset.data.dataset == "folder" else made
    command = ("train", "--preset", name, "--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(monkeypatch, *command, *QUICK, "--no-tensorboard") == 0
    manifest = Store(tmp_path).verify(ModelRef.parse(f"{name}@1"))
    assert manifest.spec == preset.model


def test_a_folder_can_be_grey_and_of_another_size(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shape = {"channels": 1, "height": 16, "width": 16}
    settings = [f"--set=model.image.{key}={value}" for key, value in shape.items()]
    command = ("train", "--preset", "folder", "--data-dir", str(made / "photos"))
    assert call(monkeypatch, *command, "--store", str(tmp_path), *settings, *QUICK) == 0
    assert Store(tmp_path).manifest(ModelRef.parse("folder")).spec.image.shape == (1, 16, 16)


def test_an_empty_folder_is_one_line_and_exit_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    command = ("train", "--preset", "folder", "--data-dir", str(tmp_path))
    assert call(monkeypatch, *command, "--store", str(tmp_path / "store")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line


def test_notebook_has_two_latents_to_draw_a_plane_of():
    assert load_preset("notebook").model.latent == 2


def test_the_three_fashion_presets_differ_in_beta_and_in_annealing_and_its_epochs():
    three = [load_preset(name) for name in ("fashion", "fashion-beta1", "fashion-beta4")]
    assert differences(three[1], three[2]) == [("objective.beta", 1.0, 4.0)]
    assert {key for key, _, _ in differences(three[0], three[1])} == {
        "objective.annealing_epochs", "optimiser.epochs", "optimiser.step_epochs", "compute.bf16",
    }  # fmt: skip
    assert [p.objective.annealing_epochs for p in three] == [30.0, 0.0, 0.0]
    network = three[0].model.network
    assert isinstance(network, Conv)
    assert (network.channels, network.batch_norm) == ((32, 64, 128, 128), True)
    assert three[0].model.latent == 32
