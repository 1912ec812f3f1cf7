from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_store.spec import ModelRef
from model_store.store import Store
from tests.training.conftest import call, write_mnist
from training.config import differences, load_preset, preset_names

QUICK = ("--epochs", "1", "--threads", "1", "--device", "cpu", "--evaluation", "quick")


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return generated images as MNIST, Fashion-MNIST and a folder of colour images."""
    folder = tmp_path_factory.mktemp("generated")
    write_mnist(folder, train=160, test=32)
    (folder / "FashionMNIST").symlink_to(folder / "MNIST")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 32, 40, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        path = folder / "photos" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return folder


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_trains_and_publishes(name: str, generated: Path, tmp_path: Path):
    preset = load_preset(name)
    data_dir = generated / "photos" if preset.data.dataset == "folder" else generated
    command = ("train", "--preset", name, "--data-dir", str(data_dir), "--store", str(tmp_path))
    folder = [f"--set=data.folder={data_dir}"] if preset.data.folder else []
    # photos have no classes, and what follows with the judge takes a minute
    unjudged = [f"--set=objective.{key}=0" for key in ("judged_rounds", "judged_encoder_steps")]
    assert call(*command, *folder, *unjudged, *QUICK, "--no-tensorboard") == 0
    manifest = Store(tmp_path).verify(ModelRef.parse(f"{name}@1"))
    assert manifest.spec == preset.model


def test_a_folder_can_be_trained_in_grey_and_at_another_size(generated: Path, tmp_path: Path):
    shape = {"channels": 1, "height": 16, "width": 16}
    settings = [f"--set=model.image.{key}={value}" for key, value in shape.items()]
    command = ("train", "--preset", "folder", "--data-dir", str(generated / "photos"))
    assert call(*command, "--store", str(tmp_path), *settings, *QUICK) == 0
    assert Store(tmp_path).manifest(ModelRef.parse("folder")).spec.image.shape == (1, 16, 16)


def test_an_empty_folder_exits_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    command = ("train", "--preset", "folder", "--data-dir", str(tmp_path))
    assert call(*command, "--store", str(tmp_path / "store")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path) in line


def test_the_fashion_presets_differ_only_in_beta_annealing_and_its_schedule():
    three = [load_preset(name) for name in ("fashion", "fashion-beta1", "fashion-beta4")]
    assert differences(three[1], three[2]) == [("objective.beta", 1.0, 4.0)]
    assert {key for key, _, _ in differences(three[0], three[1])} == {
        "objective.annealing_epochs", "optimiser.epochs", "optimiser.step_epochs", "compute.bf16",
        "compute.channels_last", "compute.matmul",
    }  # fmt: skip
    assert [p.objective.annealing_epochs for p in three] == [30.0, 0.0, 0.0]
