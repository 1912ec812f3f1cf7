import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model_store.spec import MLP, ImageShape, ModelSpec
from tests.training.conftest import call
from tests.training.data.glyphs.conftest import SANS, changed, renamed
from training.config import Data
from training.data import image_folder
from training.data.glyphs.data_set import Built, build, folder_of
from training.data.glyphs.fonts import CHARACTERS, PACKAGES
from training.data.glyphs.rendering import render
from training.errors import DataNotFoundError, UsageError

SPEC = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=32, width=32), upload="resize")


@pytest.fixture(scope="module")
def glyphs(fonts: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Built]:
    """Return the folder of a data set of five fonts, and what was built."""
    folder = tmp_path_factory.mktemp("data") / "glyphs"
    return folder, build(folder, [fonts])


def test_a_data_set_is_split_by_families_and_read_with_its_classes_and_attributes(
    glyphs: tuple[Path, Built],
):
    folder, built = glyphs
    assert [font.family for font in built.test] == ["STIXGeneral"]
    assert len(built.train) == 4
    assert built.families == 4
    splits = image_folder.load(Data(dataset="folder"), folder, SPEC)
    assert splits.classes == tuple(CHARACTERS)
    assert (len(splits.train), len(splits.test)) == (4 * 62, 62)
    assert splits.test.require_labels().tolist() == list(range(62))
    assert sorted(splits.train.attributes["weight"].unique().tolist()) == [400, 700]
    assert splits.train.attributes["serif"].mean() == 0.5


def test_folders_of_classes_differ_on_disks_that_ignore_case(glyphs: tuple[Path, Built]):
    folders = [path.name for path in (glyphs[0] / "train").iterdir()]
    assert len({name.casefold() for name in folders}) == len(CHARACTERS)
    assert folder_of("q") in folders
    assert folder_of("Q") in folders


def test_the_images_are_the_rendered_characters(glyphs: tuple[Path, Built], fonts: Path):
    images = render(fonts / "STIXGeneral.ttf")
    assert images is not None
    with Image.open(glyphs[0] / "test" / "Q" / "stixgeneral-regular.png") as image:
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), images[CHARACTERS.index("Q")])


def test_every_font_is_listed_with_its_licence(glyphs: tuple[Path, Built]):
    page = (glyphs[0] / "LICENCES.md").read_text()
    assert "| Bitstream Vera | 4 |" in page
    assert "| STIXGeneral Regular | test | SIL OFL 1.1 | the font |" in page


def test_unknown_attributes_are_empty(glyphs: tuple[Path, Built]):
    with (glyphs[0] / "attributes.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert len(rows) == 5 * 62
    row = rows["test/a_/stixgeneral-regular.png"]
    assert (row["weight"], row["slant"], row["serif"], row["width"]) == ("400", "0", "", "100")


def test_the_same_fonts_give_the_same_folder(
    glyphs: tuple[Path, Built], fonts: Path, tmp_path: Path
):
    build(tmp_path / "again", [fonts])
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (glyphs[0], tmp_path / "again")
    )
    assert first == second


def test_fonts_of_one_name_have_files_of_their_own(fonts: Path, tmp_path: Path):
    twins = tmp_path / "fonts"
    shutil.copytree(fonts, twins)
    changed(twins / "twin1.ttf", renamed("Twin", "Regular"), fonts / "DejaVuSerif-Bold.ttf")
    changed(twins / "twin2.ttf", renamed("Twin", "Regular"), fonts / "DejaVuSansMono.ttf")
    for name in ("DejaVuSerif-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSans.ttf"):
        (twins / name).unlink()
    build(tmp_path / "glyphs", [twins])
    files = {path.name for path in (tmp_path / "glyphs" / "train" / "Q").iterdir()}
    assert files == {"dejavu-serif-book.png", "twin-regular.png", "twin-regular-2.png"}


def test_too_few_fonts_name_the_folders_and_the_packages(tmp_path: Path):
    empty = tmp_path / "empty"
    with pytest.raises(DataNotFoundError) as caught:
        build(tmp_path / "glyphs", [empty])
    for word in (str(empty), "--fonts", *PACKAGES):
        assert word in str(caught.value)
    assert not (tmp_path / "glyphs").exists()


def test_a_folder_that_exists_is_refused_before_anything_is_drawn(fonts: Path, tmp_path: Path):
    (tmp_path / "glyphs").mkdir()
    stages: list[str] = []
    with pytest.raises(UsageError, match="exists"):
        build(tmp_path / "glyphs", [fonts], stages.append)
    assert stages == []


def test_the_command_writes_the_data_set_and_says_what_it_left_out(
    fonts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(SANS, more / "again.ttf")
    out = tmp_path / "glyphs"
    assert (
        call("data", "glyphs", "--fonts", str(fonts), "--fonts", str(more), "--out", str(out)) == 0
    )
    printed = capsys.readouterr()
    assert "4 fonts to train on and 1 to test on, of 4 families, 62 images each" in printed.out
    assert "1 fonts left out: looks like another font" in printed.err
