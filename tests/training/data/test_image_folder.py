from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data
from training.data.loading import load
from training.errors import DataNotFoundError

FOLDER = Data(dataset="folder")


def resized(**image: int) -> ModelSpec:
    """A model whose images are cropped and resized."""
    shape = ImageShape.model_validate(image)
    return ModelSpec(network=MLP(), latent=2, image=shape, upload="resize")


COLOUR = resized(channels=3, height=16, width=16)


def write(path: Path, size: tuple[int, int] = (16, 16), seed: int = 0) -> np.ndarray:
    """Write a colour image of noise; return its pixels (height, width, 3)."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def test_an_image_of_the_right_size_is_read_without_changes(tmp_path: Path):
    pixels = [write(tmp_path / f"{n}.png", seed=n) for n in range(2)]
    splits = load(FOLDER, tmp_path, COLOUR)
    both = torch.cat([splits.train.pixels, splits.test.pixels])
    expected = {image.transpose(2, 0, 1).tobytes() for image in pixels}
    assert {image.numpy().tobytes() for image in both} == expected


def test_a_wide_image_is_cropped_around_its_centre(tmp_path: Path):
    wide = np.zeros((16, 48, 3), dtype=np.uint8)
    wide[:, 16:32] = 200
    for n in range(2):
        Image.fromarray(wide).save(tmp_path / f"{n}.png")
    assert (load(FOLDER, tmp_path, COLOUR).train.pixels == 200).all()


def test_a_grey_model_reads_colour_as_luminance(tmp_path: Path):
    for n in range(2):
        Image.new("RGB", (16, 16), (0, 255, 0)).save(tmp_path / f"{n}.png")
    train = load(FOLDER, tmp_path, resized(height=16, width=16)).train
    assert train.pixels.shape == (1, 1, 16, 16)
    assert (train.pixels == round(0.587 * 255)).all()


def test_train_and_test_folders_are_the_splits_and_their_subfolders_the_classes(tmp_path: Path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for n in range(count):
                write(tmp_path / split / name / f"{n}.jpg")
    splits = load(FOLDER, tmp_path, COLOUR)
    assert (len(splits.train), len(splits.test)) == (6, 4)
    assert splits.classes == ("cat", "dog")
    assert splits.test.labels is not None
    assert splits.test.labels.tolist() == [0, 0, 1, 1]


def test_without_them_the_same_share_is_held_out_each_time(tmp_path: Path):
    for n in range(20):
        write(tmp_path / f"{n}.png", seed=n)
    one, two = (load(FOLDER, tmp_path, COLOUR) for _ in range(2))
    assert (len(one.train), len(one.test), one.classes) == (18, 2, None)
    assert torch.equal(one.test.pixels, two.test.pixels)
    assert "2 of 20 images held out" in one.title
    assert one.train.labels is None


def test_unreadable_and_tiny_files_are_listed_and_skipped(tmp_path: Path):
    for n in range(4):
        write(tmp_path / f"good{n}.png")
    write(tmp_path / "tiny.png", size=(4, 4))
    (tmp_path / "damaged.jpg").write_bytes((tmp_path / "good0.png").read_bytes()[:60])
    (tmp_path / "notes.txt").write_text("no image")
    splits = load(FOLDER, tmp_path, COLOUR)
    assert len(splits.train) + len(splits.test) == 4
    first, *lines, others = splits.notices
    assert others == "1 other files are not read: 1 .txt"
    assert first == "2 of 6 files are skipped:"
    assert any("damaged.jpg" in line and "cannot be read" in line for line in lines)
    assert any("tiny.png" in line and "4x4" in line for line in lines)


@pytest.mark.parametrize("inside", ["nothing", "text", "one", "missing"])
def test_a_folder_without_enough_images_is_an_error_of_one_line(tmp_path: Path, inside: str):
    if inside == "text":
        (tmp_path / "a.txt").touch()
    if inside == "one":
        write(tmp_path / "a.png")
    folder = tmp_path / "nosuch" if inside == "missing" else tmp_path
    with pytest.raises(DataNotFoundError, match=str(tmp_path)) as caught:
        load(FOLDER, folder, COLOUR)
    assert "\n" not in str(caught.value)


def test_data_folder_takes_precedence_over_data_dir(tmp_path: Path):
    for n in range(2):
        write(tmp_path / "mine" / f"{n}.png")
    data = Data(dataset="folder", folder=str(tmp_path / "mine"))
    assert len(load(data, tmp_path / "other", COLOUR).train) == 1
