from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from tests.training.data.glyphs.conftest import BROUGHT, SANS, changed, draws
from training.data.glyphs.fonts import CHARACTERS
from training.data.glyphs.rendering import BASELINE, SIDE, Bytes, render


def rendered(path: Path) -> Bytes:
    images = render(path)
    assert images is not None
    return images


def rows(image: Bytes) -> tuple[int, int]:
    """Return the first and the last row with ink."""
    inked = np.flatnonzero((image > 64).any(axis=1))
    return int(inked[0]), int(inked[-1])


def test_every_character_is_drawn_white_on_black_with_a_black_frame_beside_it():
    images = rendered(SANS)
    assert images.shape == (len(CHARACTERS), SIDE, SIDE)
    assert images.dtype == np.uint8
    assert (images.max(axis=(1, 2)) > 200).all()
    assert (images.mean(axis=(1, 2)) < 100).all()
    assert not images[:, :, 0].any()
    assert not images[:, :, -1].any()


def test_characters_stand_on_one_baseline_and_have_their_size():
    drawn = dict(zip(CHARACTERS, rendered(SANS), strict=True))
    for character in "AHxzTi1":
        assert rows(drawn[character])[1] == BASELINE - 1
    for character in "gpqy":
        assert rows(drawn[character])[1] > BASELINE + 2
    tops = {character: rows(drawn[character])[0] for character in "HxoOcCbd"}
    assert tops["x"] > tops["H"] + 3
    assert tops["o"] > tops["O"] + 3
    assert tops["c"] > tops["C"] + 3
    assert tops["b"] <= tops["H"]


def test_capitals_of_all_fonts_that_fit_have_one_height():
    at_h = CHARACTERS.index("H")
    heights = []
    for name in ("DejaVuSans", "DejaVuSerif", "STIXGeneral"):
        first, last = rows(rendered(BROUGHT / f"{name}.ttf")[at_h])
        heights.append(last - first + 1)
    assert max(heights) - min(heights) <= 1


def test_the_same_file_gives_the_same_images():
    assert np.array_equal(rendered(SANS), rendered(SANS))


def test_a_font_with_an_empty_character_is_not_drawn(tmp_path: Path):
    def without_ink(font: TTFont) -> None:
        for table in font["cmap"].tables:
            if table.isUnicode():
                table.cmap[ord("k")] = table.cmap[ord(" ")]

    assert render(changed(tmp_path / "empty.ttf", without_ink)) is None


def test_a_font_whose_capitals_would_be_tiny_is_not_drawn(tmp_path: Path):
    assert render(changed(tmp_path / "tiny.ttf", draws({"H": "-"}))) is None


@pytest.mark.parametrize("content", [b"", b"no font", b"\x00\x01\x00\x00" + bytes(60)])
def test_a_file_that_freetype_refuses_is_not_drawn(tmp_path: Path, content: bytes):
    path = tmp_path / "broken.ttf"
    path.write_bytes(content)
    assert render(path) is None
