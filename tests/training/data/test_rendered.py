from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from training.data.rendered import Rendered, write
from training.errors import UsageError


def grey(level: int) -> Image.Image:
    return Image.new("L", (8, 8), level)


def test_images_attributes_and_licences_are_written(tmp_path: Path):
    images = [
        Rendered("train/a/0.png", grey(10), {"weight": 400, "slant": 0.123456}),
        Rendered("test/b/0.png", grey(20), {"slant": float("nan"), "weight": 700}),
    ]
    write(tmp_path / "set", images, "# Licences\n")
    assert (tmp_path / "set" / "attributes.csv").read_text() == (
        "file,weight,slant\ntrain/a/0.png,400,0.1235\ntest/b/0.png,700,\n"
    )
    assert (tmp_path / "set" / "LICENCES.md").read_text() == "# Licences\n"
    with Image.open(tmp_path / "set" / "test" / "b" / "0.png") as image:
        assert image.getpixel((0, 0)) == 20


def test_a_failure_leaves_nothing_behind(tmp_path: Path):
    def interrupted() -> Iterator[Rendered]:
        yield Rendered("train/a/0.png", grey(10), {})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "set", interrupted(), "")
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write to"):
        write(tmp_path / "file" / "set", [], "")
