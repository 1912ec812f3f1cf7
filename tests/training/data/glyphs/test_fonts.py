import math
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from tests.training.data.glyphs.conftest import BROUGHT, SANS, changed
from training.data.glyphs.fonts import (
    find_font_files,
    read_font,
    serif_of,
    slant_of,
    weight_of,
    width_of,
)


def test_a_font_states_its_family_weight_slant_serifs_and_width():
    font = read_font(BROUGHT / "DejaVuSerif-BoldItalic.ttf")
    assert font is not None
    assert (font.family, font.style) == ("DejaVu Serif", "Bold Italic")
    assert (font.weight, font.slant, font.serif, font.width) == (700, 11, 1, 100)
    sans = read_font(SANS)
    assert sans is not None
    assert (sans.weight, sans.slant, sans.serif, sans.width) == (400, 0, 0, 100)


@pytest.mark.parametrize(
    ("weight_class", "bold", "light", "weight"),
    [
        (400, False, False, 400),
        (700, True, False, 700),
        (7, True, False, 700),  # fonts of the nineties count to 9
        (400, True, False, math.nan),
        (500, False, True, math.nan),
        (300, False, True, 300),
        (0, False, False, math.nan),
        (28926, False, False, math.nan),
    ],
)
def test_a_weight_that_contradicts_the_style_is_unknown(
    weight_class: int, bold: bool, light: bool, weight: float
):
    assert weight_of(weight_class, bold=bold, light=light) == pytest.approx(weight, nan_ok=True)


@pytest.mark.parametrize(
    ("angle", "italic", "slant"),
    [(-12, True, 12), (0, False, 0), (0, True, math.nan), (8, False, -8), (900, True, math.nan)],
)
def test_a_slant_is_the_angle_to_the_right_or_unknown(angle: float, italic: bool, slant: float):
    assert slant_of(angle, italic=italic) == pytest.approx(slant, nan_ok=True)


@pytest.mark.parametrize(
    ("family_type", "style", "family_class", "family", "serif"),
    [
        (2, 2, 0, "Any", 1),
        (2, 11, 0, "Any", 0),
        (3, 11, 0, "Any", math.nan),  # a script: its third number is no serif style
        (0, 0, 8, "Any", 0),
        (0, 0, 1, "Any", 1),
        (0, 0, 0, "Any Sans", 0),
        (0, 0, 0, "Any Slab", 1),
        (2, 1, 0, "Any", math.nan),
    ],
)
def test_serifs_are_stated_by_panose_by_the_class_of_the_family_or_by_its_name(
    family_type: int, style: int, family_class: int, family: str, serif: float
):
    stated = serif_of(family_type, style, family_class, family)
    assert stated == pytest.approx(serif, nan_ok=True)


@pytest.mark.parametrize(
    ("width_class", "name", "width"),
    [
        (5, "Any Regular", 100),
        (3, "Any Condensed", 75),
        (5, "Any Condensed", math.nan),
        (0, "Any", math.nan),
        (9, "Any Wide", 200),
    ],
)
def test_a_width_is_a_percentage_or_unknown(width_class: int, name: str, width: float):
    assert width_of(width_class, name) == pytest.approx(width, nan_ok=True)


def test_a_font_that_lacks_a_character_is_not_used(tmp_path: Path):
    def without_q(font: TTFont) -> None:
        for table in font["cmap"].tables:
            table.cmap.pop(ord("Q"), None)

    assert read_font(changed(tmp_path / "without.ttf", without_q)) is None


@pytest.mark.parametrize("keep", [0, 3, 12, 200, 5000])
def test_a_damaged_font_is_not_used_and_no_failure(tmp_path: Path, keep: int):
    path = tmp_path / "damaged.ttf"
    path.write_bytes(SANS.read_bytes()[:keep])
    assert read_font(path) is None


def test_bytes_that_are_overwritten_never_raise(tmp_path: Path):
    content = SANS.read_bytes()
    path = tmp_path / "damaged.ttf"
    for place in range(0, 600, 41):
        path.write_bytes(content[:place] + b"\xff" * 9 + content[place + 9 :])
        read_font(path)


def test_font_files_are_found_once_in_folders_of_any_depth(tmp_path: Path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "One.TTF").write_bytes(b"")
    (deep / "two.otf").write_bytes(b"")
    (deep / "notes.txt").write_bytes(b"")
    (tmp_path / "link").symlink_to(deep)
    files = find_font_files([tmp_path, tmp_path / "a", tmp_path / "missing"])
    assert sorted(path.name for path in files) == ["One.TTF", "two.otf"]
