"""attributes.csv: numbers that a folder states for each of its images."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from model_store.spec import MLP, ImageShape, ModelSpec
from training.config import Data
from training.data.images import Images, Splits
from training.data.loading import load
from training.errors import DataError

SPEC = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=16, width=16), upload="resize")


def fill(folder: Path, *levels: int) -> None:
    """Write an image of one grey level each, named by it."""
    folder.mkdir(parents=True, exist_ok=True)
    for level in levels:
        Image.new("L", (16, 16), level).save(folder / f"{level}.png")


def read(folder: Path) -> Splits:
    return load(Data(dataset="folder"), folder, SPEC)


def by_level(images: Images, name: str) -> dict[int, float]:
    levels = images.pixels[:, 0, 0, 0].tolist()
    return dict(zip(levels, images.attributes[name].tolist(), strict=True))


def test_each_image_keeps_its_own_value_when_images_are_shuffled_and_held_out(tmp_path: Path):
    fill(tmp_path, *range(40, 60))
    rows = "".join(f"{level}.png,{level / 4}\n" for level in range(59, 39, -1))
    (tmp_path / "attributes.csv").write_text("file,weight\n" + rows)
    splits = read(tmp_path)
    both = by_level(splits.train, "weight") | by_level(splits.test, "weight")
    assert both == {level: level / 4 for level in range(40, 60)}
    assert splits.notices == ()


def test_a_table_beside_the_splits_and_one_inside_of_a_split_are_both_read(tmp_path: Path):
    fill(tmp_path / "train" / "A", 10, 11)
    fill(tmp_path / "train" / "B", 12)
    fill(tmp_path / "test" / "A", 20)
    fill(tmp_path / "test" / "B", 21)
    (tmp_path / "attributes.csv").write_text(
        "\ufefffile,serif\ntrain/A/10.png,1\ntest/B/21.png,0\n"
    )
    (tmp_path / "train" / "attributes.csv").write_text("serif,file\n0.5,./B/12.png\n")
    splits = read(tmp_path)
    train, test = by_level(splits.train, "serif"), by_level(splits.test, "serif")
    assert (train[10], train[12], test[21]) == (1, 0.5, 0)
    assert math.isnan(train[11])
    assert math.isnan(test[20])
    assert splits.classes == ("A", "B")
    assert splits.notices == ()


def test_an_empty_cell_is_unknown_and_a_column_of_words_is_named(tmp_path: Path):
    fill(tmp_path, 1, 2)
    (tmp_path / "attributes.csv").write_text("file,family,width\n1.png,Lora,\n2.png,Cabin,3\n")
    splits = read(tmp_path)
    values = by_level(splits.train, "width") | by_level(splits.test, "width")
    assert math.isnan(values[1])
    assert values[2] == 3
    assert list(splits.train.attributes) == ["width"]
    assert any("column family is not read: 'Lora' is no number" in n for n in splits.notices)


def test_a_folder_without_a_table_has_no_attributes(tmp_path: Path):
    fill(tmp_path, 1, 2)
    assert read(tmp_path).train.attributes == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column `file`"),
        ("name,weight\n1.png,2\n", "no column `file`"),
        ("file,weight,weight\n1.png,2,3\n", "two columns of one name"),
        ("file,class:0\n1.png,2\n", "cannot name an attribute"),
        ("file,\n1.png,2\n", "cannot name an attribute"),
        ("file,weight\n1.png,2,3\n", "a row has 3 of 2 cells: 1.png"),
        ("file,weight\n1.png,2\n./1.png,3\n", "twice"),
        ("file," + ",".join(f"a{n}" for n in range(65)) + "\n", "at most 64"),
        ('file,weight\n"1.png,2\n', "cannot be read as CSV"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(tmp_path: Path, content: str, message: str):
    fill(tmp_path, 1, 2)
    (tmp_path / "attributes.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("cell", ["inf", "-1e999", "0x10", "1,5"])
def test_a_number_that_is_not_finite_or_not_decimal_is_no_number(tmp_path: Path, cell: str):
    fill(tmp_path, 1, 2)
    (tmp_path / "attributes.csv").write_text(f'file,weight\n1.png,"{cell}"\n')
    assert read(tmp_path).train.attributes == {}


def test_parts_of_images_keep_their_attributes():
    values = torch.arange(5.0)
    images = Images(torch.arange(5).view(5, 1, 1, 1), attributes={"weight": values})
    assert images.first(2).attributes["weight"].tolist() == [0, 1]
    assert images.without_first(2).attributes["weight"].tolist() == [2, 3, 4]
    shuffled = images.to(torch.device("cpu")).shuffled(3)
    assert shuffled.attributes["weight"].tolist() == shuffled.pixels.flatten().tolist()
