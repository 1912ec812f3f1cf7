from pathlib import Path

import numpy as np
import pytest

from tests.training.conftest import call
from training.config import load_preset
from training.data.avatars import HAIRSTYLES, Artist, Avatar
from training.data.loading import load
from training.errors import DataNotFoundError


@pytest.fixture(scope="module")
def artist() -> Artist:
    return Artist(size=32, seed=3)


@pytest.fixture(scope="module")
def faces(artist: Artist) -> list[Avatar]:
    return [artist.draw("train", number) for number in range(60)]


def colour(face: Avatar, x: int, y: int) -> np.ndarray:
    """Return the colour of one pixel of a face of 32x32; (3,), 0 to 255."""
    pixels: np.ndarray = np.asarray(face.image, dtype=float)[y, x]
    return pixels


def luma(colour: np.ndarray) -> float:
    return float(colour @ [0.299, 0.587, 0.114])


def correlation(a: list[float], b: list[float]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_the_same_seed_and_number_give_the_same_face(artist: Artist, faces: list[Avatar]):
    again = Artist(size=32, seed=3).draw("train", 7)
    assert again.image.tobytes() == faces[7].image.tobytes()
    assert again.attributes == faces[7].attributes


def test_seeds_splits_and_numbers_give_different_faces(artist: Artist, faces: list[Avatar]):
    others = [Artist(size=32, seed=4).draw("train", 0), artist.draw("test", 0)]
    assert len({face.image.tobytes() for face in [*faces, *others]}) == 62


def test_faces_are_colour_images_of_the_size_that_was_asked_for(faces: list[Avatar]):
    assert {(face.image.mode, face.image.size) for face in faces} == {("RGB", (32, 32))}


def test_every_hairstyle_is_drawn(faces: list[Avatar]):
    assert {face.hairstyle for face in faces} == set(HAIRSTYLES)


def test_the_attributes_are_the_same_finite_numbers_for_every_face(faces: list[Avatar]):
    names = {tuple(face.attributes) for face in faces}
    assert len(names) == 1
    assert np.isfinite([list(face.attributes.values()) for face in faces]).all()


def test_skin_tone_follows_the_colour_of_the_cheek(faces: list[Avatar]):
    clean = [face for face in faces if not face.attributes["beard"]]
    tones = [face.attributes["skin_tone"] for face in clean]
    assert correlation(tones, [luma(colour(face, 13, 20)) for face in clean]) > 0.95


def test_warmth_follows_the_colour_of_the_corner(faces: list[Avatar]):
    warmths = [face.attributes["background_warmth"] for face in faces]
    red_less_blue = [float(colour(face, 0, 31 // 2) @ [1, 0, -1]) for face in faces]
    assert correlation(warmths, red_less_blue) > 0.95


def test_only_short_hair_goes_with_a_beard_and_only_long_hair_has_a_length(faces: list[Avatar]):
    for face in faces:
        if HAIRSTYLES[face.hairstyle].rear:
            assert face.attributes["hair_length"] >= 0.4
            assert face.attributes["beard"] == 0
        else:
            assert face.attributes["hair_length"] == 0


def test_the_licence_names_the_artist_and_the_packages(artist: Artist):
    text = artist.licences()
    assert "Johan Melin" in text
    assert "https://creativecommons.org/licenses/by/4.0/" in text
    assert "dicebear-styles 10." in text


def test_the_command_writes_a_folder_that_training_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ZSERVE_DATA_DIR", str(tmp_path))
    assert call("data", "avatars", "--train", "20", "--test", "8", "--size", "64") == 0
    preset = load_preset("faces")
    splits = load(preset.data, tmp_path, preset.model)
    assert splits.title == "avatars"
    assert (len(splits.train), len(splits.test)) == (20, 8)
    assert splits.train.pixels.shape[1:] == (3, 64, 64)
    assert set(splits.classes or ()) <= set(HAIRSTYLES)
    rows = (tmp_path / "avatars" / "attributes.csv").read_text().splitlines()
    assert rows[0].startswith("file,skin_tone,")
    files = {row.partition(",")[0] for row in rows[1:]}
    assert len(files) == 28
    assert all((tmp_path / "avatars" / file).is_file() for file in files)


def test_a_smaller_data_set_is_the_beginning_of_a_larger_one(tmp_path: Path):
    for name, count in (("small", "2"), ("large", "4")):
        arguments = ("--train", count, "--test", "1", "--size", "32", "--out", str(tmp_path / name))
        assert call("data", "avatars", *arguments) == 0
    small = {p.relative_to(tmp_path / "small"): p for p in (tmp_path / "small").rglob("*.png")}
    assert len(small) == 3
    for path, file in small.items():
        assert (tmp_path / "large" / path).read_bytes() == file.read_bytes()


def test_a_folder_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine.txt").touch()
    assert call("data", "avatars", "--out", str(tmp_path), "--train", "1", "--test", "1") == 2
    assert f"{tmp_path} exists; remove it, or write to another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_the_data_set_training_says_how_to_draw_it(tmp_path: Path):
    preset = load_preset("faces")
    with pytest.raises(
        DataNotFoundError, match="draw its images by: python -m training data avatars"
    ):
        load(preset.data, tmp_path, preset.model)
