from pathlib import Path

import numpy as np

from tests.training.data.glyphs.conftest import BROUGHT, SANS, changed, draws, renamed
from training.data.glyphs.fonts import CHARACTERS, read_font
from training.data.glyphs.rendering import render
from training.data.glyphs.selection import (
    MAX_FONTS_OF_FAMILY,
    SMALL_LETTERS,
    TEST_SHARE,
    Drawn,
    choose,
    is_test_family,
)

NAMES = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSerif-Bold", "STIXGeneral")


def drawn(path: Path) -> Drawn:
    font, images = read_font(path), render(path)
    assert font is not None
    assert images is not None
    return Drawn(font, images)


def plain() -> list[Drawn]:
    return [drawn(BROUGHT / f"{name}.ttf") for name in NAMES]


def names(fonts: list[Drawn]) -> list[str]:
    return [each.font.name for each in fonts]


def test_fonts_of_different_designs_all_stay():
    chosen, left_out = choose(plain())
    assert len(chosen) == len(NAMES)
    assert not any(left_out.values())


def test_the_order_of_the_files_does_not_matter():
    fonts = plain()
    assert names(choose(fonts)[0]) == names(choose(fonts[::-1])[0])


def test_a_copy_under_another_name_is_left_out(tmp_path: Path):
    copy = drawn(changed(tmp_path / "copy.ttf", renamed("Zopy Sans")))
    chosen, left_out = choose([*plain(), copy])
    assert "Zopy Sans Book" not in names(chosen)
    assert left_out["looks like another font"] == 1


def test_a_font_that_draws_other_characters_than_it_says_is_left_out(tmp_path: Path):
    rotated = dict(zip(CHARACTERS, CHARACTERS[31:] + CHARACTERS[:31], strict=True))
    liar = drawn(changed(tmp_path / "liar.ttf", draws(rotated)))
    chosen, left_out = choose([*plain(), liar])
    assert len(chosen) == len(NAMES)
    assert left_out["does not resemble letters"] == 1


def test_symbols_are_left_out(tmp_path: Path):
    dingbats = {character: chr(0x2790 + index) for index, character in enumerate(CHARACTERS[:5])}
    dingbats |= {character: chr(0x2654 + index) for index, character in enumerate(CHARACTERS[5:])}
    symbols = drawn(changed(tmp_path / "signs.ttf", draws(dingbats)))
    _, left_out = choose([*plain(), symbols])
    assert left_out["does not resemble letters"] == 1


def test_small_capitals_are_left_out(tmp_path: Path):
    capitals = {letter: letter.upper() for letter in SMALL_LETTERS}
    small = drawn(changed(tmp_path / "capitals.ttf", draws(capitals)))
    chosen, left_out = choose([*plain(), small])
    assert len(chosen) == len(NAMES)
    assert left_out["does not resemble letters"] == 1


def test_a_font_that_draws_too_many_characters_alike_is_left_out(tmp_path: Path):
    alike = dict.fromkeys("IiljJ1t", "I")
    boring = drawn(changed(tmp_path / "alike.ttf", draws(alike)))
    _, left_out = choose([*plain(), boring])
    assert left_out["draws several characters alike"] == 1


def test_a_family_keeps_a_few_fonts_that_differ():
    base = drawn(SANS)
    shades = [
        Drawn(base.font, np.roll(base.images, (dy, dx), axis=(1, 2)))
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    chosen, left_out = choose(shades)
    assert len(chosen) == MAX_FONTS_OF_FAMILY
    assert left_out[f"has {MAX_FONTS_OF_FAMILY} fonts of its family before it"] == 3


def test_no_fonts_are_chosen_from_none():
    assert choose([]) == ([], {})


def test_relatives_are_in_one_split_and_their_share_is_as_stated():
    assert len({is_test_family(family) for family in ("Lato", "Lato Medium", "LATO Black")}) == 1
    shares = [is_test_family(f"Family{number} Sans") for number in range(4000)]
    assert abs(np.mean(shares) - TEST_SHARE) < 0.02


def test_a_family_is_in_the_same_split_for_ever():
    assert [is_test_family(word) for word in ("STIXGeneral", "Four", "Five")] == [True] * 3
    assert [is_test_family(word) for word in ("DejaVu Sans", "One", "Noto Serif")] == [False] * 3
