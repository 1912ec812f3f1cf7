from pathlib import Path

import pytest
from PIL import Image

from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data
from training.data import image_folder
from training.data.class_names import CLASSES, read_class_names, write_class_names
from training.errors import DataError

SPEC = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=8, width=8), upload="resize")


def images(folder: Path) -> None:
    for split in ("train", "test"):
        for name in ("A", "a_", "b_"):
            (folder / split / name).mkdir(parents=True)
            Image.new("L", (8, 8), 50).save(folder / split / name / "0.png")


def test_classes_have_the_names_of_the_table_and_else_of_their_folders(tmp_path: Path):
    images(tmp_path)
    write_class_names(tmp_path / CLASSES, {"a_": "a", "A": "A"})
    splits = image_folder.load(Data(dataset="folder"), tmp_path, SPEC)
    assert splits.classes == ("A", "a", "b_")
    assert splits.train.require_labels().sort().values.tolist() == [0, 1, 2]
    assert splits.notices == ()


def test_a_folder_without_splits_may_have_a_table(tmp_path: Path):
    images(tmp_path)
    (tmp_path / "train" / CLASSES).write_text("folder,class\nb_,beta\n")
    splits = image_folder.load(Data(dataset="folder", holdout=0.4), tmp_path / "train", SPEC)
    assert splits.classes == ("A", "a_", "beta")


def test_classes_without_a_table_have_the_names_of_their_folders(tmp_path: Path):
    assert read_class_names(tmp_path, ("x", "y")) == ("x", "y")


def test_two_folders_cannot_have_one_class(tmp_path: Path):
    (tmp_path / CLASSES).write_text("folder,class\na_,A\n")
    with pytest.raises(DataError, match="several folders have the class 'A'"):
        read_class_names(tmp_path, ("A", "a_"))


@pytest.mark.parametrize(
    "content",
    [b"", b"name\na\n", b"folder,class\na_\n", b"folder,class\na_,\n", b"folder,class\n\xff,a\n"],
)
def test_a_table_that_cannot_be_used_is_an_error_that_names_it(tmp_path: Path, content: bytes):
    (tmp_path / CLASSES).write_bytes(content)
    with pytest.raises(DataError, match=CLASSES):
        read_class_names(tmp_path, ("a_",))
