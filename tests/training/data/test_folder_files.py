"""Every file of a training folder is read, or counted and named."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data
from training.data.images import Splits
from training.data.loading import load
from training.errors import DataNotFoundError

SPEC = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=8, width=8), upload="resize")


def read(folder: Path) -> Splits:
    return load(Data(dataset="folder"), folder, SPEC)


def fill(folder: Path, level: int, count: int = 5, suffix: str = "png") -> Path:
    """Write grey images of one level."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        Image.new("L", (8, 8), level).save(folder / f"{n}.{suffix}")
    return folder


def levels(images: torch.Tensor) -> list[int]:
    return sorted(set(images.flatten().tolist()))


# --- links ---


def test_class_folders_that_are_links_are_read(tmp_path: Path):
    for level, name in ((50, "squares"), (90, "discs")):
        outside = fill(tmp_path / "elsewhere" / name, level)
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(outside, target_is_directory=True)
    splits = read(tmp_path / "data")
    assert splits.classes == ("discs", "squares")
    assert len(splits.train) + len(splits.test) == 10
    assert levels(torch.cat([splits.train.pixels, splits.test.pixels])) == [50, 90]
    assert splits.notices == ()


def test_splits_and_folders_below_classes_may_be_links_too(tmp_path: Path):
    outside = fill(tmp_path / "elsewhere" / "a", 50)
    fill(tmp_path / "data" / "train" / "b", 90)
    (tmp_path / "data" / "train" / "a").mkdir()
    (tmp_path / "data" / "train" / "a" / "more").symlink_to(outside)
    (tmp_path / "data" / "test").symlink_to(tmp_path / "data" / "train")
    splits = read(tmp_path / "data")
    assert (len(splits.train), len(splits.test)) == (10, 10)
    assert splits.classes == ("a", "b")
    assert splits.notices == ()


def test_links_that_lead_back_are_named_and_followed_once(tmp_path: Path):
    for level, name in ((50, "a"), (90, "b")):
        fill(tmp_path / name, level)
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "a").symlink_to(tmp_path / "a")
    splits = read(tmp_path)
    # a, a/b -> b, b, b/a -> a: each holds five images; all other links lead back
    assert len(splits.train) + len(splits.test) == 20
    assert any("leads back to a folder above it" in line for line in splits.notices)


def test_a_broken_link_is_named(tmp_path: Path):
    fill(tmp_path, 50)
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    notices = read(tmp_path).notices
    assert notices[0] == "2 of 7 files are skipped:"
    assert all("is a broken link" in line for line in notices[1:])


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path):
    fill(tmp_path, 50)
    os.mkfifo(tmp_path / "pipe.png")
    assert read(tmp_path).notices == (
        "1 of 6 files are skipped:",
        f"  {tmp_path / 'pipe.png'}: is no file",
    )


# --- splits ---


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("training", "testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
    ],
)
def test_folders_named_like_splits_are_splits(tmp_path: Path, train: str, test: str):
    for name in ("squares", "discs"):
        fill(tmp_path / train / name, 50, count=6)
        fill(tmp_path / test / name, 90, count=2)
    splits = read(tmp_path)
    assert (len(splits.train), len(splits.test)) == (12, 4)
    assert levels(splits.train.pixels) == [50]
    assert levels(splits.test.pixels) == [90]
    assert splits.classes == ("discs", "squares")
    assert splits.notices == ()
    assert test in splits.title


def test_of_test_and_val_the_first_is_measured_on_and_the_other_is_named(tmp_path: Path):
    for level, name in ((50, "train"), (70, "val"), (90, "test")):
        fill(tmp_path / name, level)
    fill(tmp_path / "extra" / "deep", 110, count=3)
    (tmp_path / "labels.csv").touch()
    splits = read(tmp_path)
    assert levels(splits.train.pixels) == [50]
    assert levels(splits.test.pixels) == [90]
    assert splits.notices == (
        f"{tmp_path}/extra/ is not read: 3 images beside the splits",
        f"{tmp_path}/labels.csv is not read: it is beside the splits",
        f"{tmp_path}/val/ is not read: 5 images beside the splits",
    )


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (("val",), "has val/ and no train/: name the folder to train on train/"),
        (("test", "val"), "has test/, val/ and no train/"),
        (("train", "val", "valid"), "which are the two splits"),
        (("train", "Train", "test"), "which are the two splits"),
        (("train", "training"), "which are the two splits"),
    ],
)
def test_names_that_do_not_tell_the_splits_are_refused_with_advice(
    tmp_path: Path, names: tuple[str, ...], advice: str
):
    for name in names:
        fill(tmp_path / name, 50)
    with pytest.raises(DataNotFoundError, match=advice):
        read(tmp_path)


def test_a_training_folder_alone_keeps_its_classes_and_says_what_is_held_out(tmp_path: Path):
    for name in ("squares", "discs"):
        fill(tmp_path / "train" / name, 50)
    splits = read(tmp_path)
    assert splits.classes == ("discs", "squares")
    assert (len(splits.train), len(splits.test)) == (9, 1)
    assert splits.notices == (
        f"there is no test/ beside {tmp_path}/train/, so a part of it is held out",
    )


@pytest.mark.parametrize("name", ["train", "test"])
def test_a_class_may_be_named_like_a_split(tmp_path: Path, name: str):
    for level, vehicle in ((50, "bus"), (70, "car"), (90, name)):
        fill(tmp_path / vehicle, level)
    splits = read(tmp_path)
    assert splits.classes == tuple(sorted(("bus", "car", name)))
    assert len(splits.train) + len(splits.test) == 15
    assert splits.notices == (f"{name}/ is read as a class, because it is not alone",)


# --- classes that cannot be ---


def test_images_outside_of_the_subfolders_are_the_reason_why_there_are_no_classes(tmp_path: Path):
    for name in ("squares", "discs"):
        fill(tmp_path / name, 50)
    fill(tmp_path, 70, count=2)
    splits = read(tmp_path)
    assert splits.classes is None
    (notice,) = splits.notices
    assert notice.startswith("the subfolders are not used as classes: 2 images are in no subfolder")


def test_classes_in_one_split_alone_are_not_classes(tmp_path: Path):
    for name in ("squares", "discs"):
        fill(tmp_path / "train" / name, 50)
    fill(tmp_path / "test" / "squares", 50)
    (notice,) = read(tmp_path).notices
    assert notice.endswith(f"all images of {tmp_path}/test are in one subfolder")


# --- other files ---


def test_all_other_files_are_counted_by_their_kind(tmp_path: Path):
    for name in ("Squares", "DISCS 2"):
        fill(tmp_path / name, 50, suffix="PNG")
        (tmp_path / name / "Thumbs.db").touch()
        (tmp_path / name / "desktop.ini").touch()
    (tmp_path / "photo.CR2").touch()
    (tmp_path / "README").touch()
    (tmp_path / ".DS_Store").touch()
    fill(tmp_path / ".cache", 50)
    splits = read(tmp_path)
    assert splits.classes == ("DISCS 2", "Squares")
    assert splits.notices == (
        "8 other files are not read: 1 .cr2, 2 .db, 2 .ini, 2 hidden, 1 without a suffix",
    )


def test_files_with_several_frames_are_counted(tmp_path: Path):
    fill(tmp_path, 50)
    frames = [Image.new("L", (8, 8), level) for level in (50, 90, 120)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    splits = read(tmp_path)
    assert levels(torch.cat([splits.train.pixels, splits.test.pixels])) == [50]
    assert splits.notices == ("2 files have several frames; only the first is read",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path):
    fill(tmp_path, 50)
    locked = fill(tmp_path / "locked", 90)
    locked.chmod(0)
    try:
        assert "locked: cannot be listed" in read(tmp_path).notices[1]
    finally:
        locked.chmod(0o700)


# --- ink in the alpha channel, and 16 bits ---


def ink_in_alpha(pixels: np.ndarray) -> Image.Image:
    ink = Image.fromarray(pixels)
    return Image.merge("LA", [Image.new("L", ink.size), ink])


def sixteen_bits(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.astype(np.uint16) * 257)


@pytest.mark.parametrize("convert", [sixteen_bits, ink_in_alpha])
def test_alpha_and_16_bits_are_read_as_the_drawing(
    tmp_path: Path, convert: Callable[[np.ndarray], Image.Image]
):
    drawing = np.zeros((8, 8), np.uint8)
    drawing[2:6, 3:5] = 120 if convert is sixteen_bits else 255
    for n in range(3):
        convert(drawing).save(tmp_path / f"{n}.png")
    pixels = read(tmp_path).train.pixels[0, 0].numpy()
    expected = drawing if convert is sixteen_bits else 255 - drawing  # black ink lies on white
    assert np.array_equal(pixels, expected)
