from pathlib import Path

import pytest
from PIL import Image

from training.data.folder_survey import survey_folder
from training.errors import DataNotFoundError


def write(
    folder: Path,
    count: int,
    size: tuple[int, int] = (40, 40),
    colour: str = "red",
    name: str = "png",
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, colour).save(folder / f"{size[0]}-{number}.{name}")


def test_a_tenth_of_a_folder_without_splits_is_held_out(tmp_path: Path):
    write(tmp_path, 50)
    survey = survey_folder(tmp_path, 0.1)
    assert (survey.train, survey.test, survey.held_out) == (45, 5, True)
    assert survey.classes is None


def test_folders_named_like_splits_are_the_splits(tmp_path: Path):
    for split, count in (("train", 6), ("test", 2)):
        for kind in ("cats", "dogs"):
            write(tmp_path / split / kind, count)
    survey = survey_folder(tmp_path, 0.1)
    assert (survey.train, survey.test, survey.held_out) == (12, 4, False)
    assert survey.classes == (("cats", 6), ("dogs", 6))


def test_classes_are_counted_without_the_images_held_out(tmp_path: Path):
    write(tmp_path / "cats", 40)
    write(tmp_path / "dogs", 10)
    assert survey_folder(tmp_path, 0.1).classes == (("cats", 36), ("dogs", 9))


def test_sizes_are_the_medians_of_the_files(tmp_path: Path):
    for count, size in ((3, (30, 20)), (5, (300, 200)), (1, (3000, 10))):
        write(tmp_path, count, size)
    survey = survey_folder(tmp_path, 0.1)
    assert (survey.width, survey.height) == (300, 200)


@pytest.mark.parametrize(
    ("colour", "is_colour"), [("red", True), ("navy", True), ("grey", False), ("black", False)]
)
@pytest.mark.parametrize("name", ["png", "jpg"])
def test_colour_is_seen_in_the_pixels_not_in_the_mode_of_the_file(
    tmp_path: Path, colour: str, name: str, *, is_colour: bool
):
    write(tmp_path, 4, colour=colour, name=name)
    assert survey_folder(tmp_path, 0.1).colour is is_colour


@pytest.mark.parametrize(("colour", "share"), [("white", 1.0), ("#101010", 1.0), ("grey", 0.0)])
def test_values_near_black_and_white_are_extreme(tmp_path: Path, colour: str, share: float):
    write(tmp_path, 4, colour=colour)
    assert survey_folder(tmp_path, 0.1).extremes == share


def test_files_that_cannot_be_opened_do_not_stop_the_survey(tmp_path: Path):
    write(tmp_path, 4)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    (tmp_path / "empty.jpg").touch()
    assert survey_folder(tmp_path, 0.1).width == 40


def test_transparent_images_with_palettes_and_16_bits_are_surveyed(tmp_path: Path):
    Image.new("RGBA", (20, 20), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("P", (20, 20)).save(tmp_path / "palette.png")
    Image.new("I;16", (20, 20), 40_000).save(tmp_path / "deep.png")
    assert survey_folder(tmp_path, 0.1).width == 20


def test_folders_that_hold_too_little_are_refused_with_advice(tmp_path: Path):
    with pytest.raises(DataNotFoundError, match="no folder"):
        survey_folder(tmp_path / "nosuch", 0.1)
    with pytest.raises(DataNotFoundError, match="some hundreds"):
        survey_folder(tmp_path, 0.1)
    write(tmp_path, 1)
    with pytest.raises(DataNotFoundError, match="some hundreds"):
        survey_folder(tmp_path, 0.1)
    write(tmp_path / "train", 3)
    (tmp_path / "test").mkdir()
    (tmp_path / "40-0.png").unlink()
    with pytest.raises(DataNotFoundError, match=r"0 in .*test"):
        survey_folder(tmp_path, 0.1)


def test_a_folder_of_broken_files_is_refused(tmp_path: Path):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(DataNotFoundError, match="none of the 3 images"):
        survey_folder(tmp_path, 0.1)
