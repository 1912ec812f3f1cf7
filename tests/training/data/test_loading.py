from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.datasets import MNIST  # type: ignore[import-untyped]
from torchvision.transforms import ToTensor  # type: ignore[import-untyped]

from model_store.spec import MLP, ImageShape, ModelSpec
from tests.training.conftest import strokes, write_mnist
from training.config import Data
from training.data.loading import load
from training.errors import DataError, DataNotFoundError, SettingError

MNIST_DATA = Data(dataset="mnist")
MNIST_SPEC = ModelSpec(network=MLP(), latent=2)


def test_a_batch_equals_that_of_a_data_loader_with_to_tensor(data_dir: Path):
    train = load(MNIST_DATA, data_dir, MNIST_SPEC).train
    places = [3, 500, 3]
    reference = MNIST(str(data_dir), train=True, transform=ToTensor())
    expected = torch.stack([reference[place][0] for place in places])
    assert torch.equal(train.batch(torch.tensor(places)), expected)


def test_both_splits_are_read_without_changes(data_dir: Path):
    splits = load(MNIST_DATA, data_dir, MNIST_SPEC)
    assert torch.equal(splits.train.pixels[:, 0], torch.from_numpy(strokes(512, seed=0)))
    assert torch.equal(splits.test.pixels[:, 0], torch.from_numpy(strokes(64, seed=1)))


def test_train_images_does_not_shorten_the_test_split(data_dir: Path):
    splits = load(Data(dataset="mnist", train_images=100), data_dir, MNIST_SPEC)
    assert (len(splits.train), len(splits.test)) == (100, 64)


def test_labels_are_read_and_have_names(data_dir: Path):
    splits = load(MNIST_DATA, data_dir, MNIST_SPEC)
    for images in (splits.train, splits.test):
        assert images.labels is not None
        assert images.labels.shape == (len(images),)
        assert images.labels.dtype == torch.int64
    assert splits.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


def test_the_error_for_a_missing_data_set_names_its_folder_and_the_remedies(tmp_path: Path):
    with pytest.raises(DataNotFoundError) as caught:
        load(MNIST_DATA, tmp_path, MNIST_SPEC)
    for word in (str(tmp_path / "MNIST" / "raw"), "--data-dir", "ZSERVE_DATA_DIR", "--download"):
        assert word in str(caught.value)


@pytest.mark.parametrize("keep_bytes", [0, 2, 10, 1000])
def test_the_error_for_truncated_files_names_them(tmp_path: Path, keep_bytes: int):
    write_mnist(tmp_path, train=8, test=8)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:keep_bytes])
    with pytest.raises(DataError, match=str(tmp_path)):
        load(MNIST_DATA, tmp_path, MNIST_SPEC)


def test_a_model_for_other_images_is_refused_before_training(data_dir: Path):
    larger = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=32, width=32))
    with pytest.raises(SettingError, match=r"model.image is \(1, 32, 32\).*are \(1, 28, 28\)"):
        load(MNIST_DATA, data_dir, larger)


def test_a_folder_of_a_preset_is_looked_for_where_the_command_runs_and_then_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for place, count in (("here", 3), ("data", 5)):
        folder = tmp_path / place / "shapes"
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("L", (28, 28), 50 * number).save(folder / f"{number}.png")
    shapes = Data(dataset="folder", folder="shapes")
    spec = MNIST_SPEC.model_copy(update={"upload": "resize"})

    def images() -> int:
        splits = load(shapes, tmp_path / "data", spec)
        return len(splits.train) + len(splits.test)

    assert images() == 5
    monkeypatch.chdir(tmp_path / "here")
    assert images() == 3
