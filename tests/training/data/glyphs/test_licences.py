import gzip
import shutil
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

from tests.training.data.glyphs.conftest import BROUGHT, SANS, changed
from training.data.glyphs.fonts import read_font
from training.data.glyphs.licences import licence_of, recognise


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("This Font Software is licensed under the SIL Open Font License, Version 1.1.", "SIL OFL"),
        ("Copyright 2012 A, with Reserved Font Name B", "SIL OFL"),
        ("Licensed under the Apache License, Version 2.0", "Apache"),
        ("released under the GUST Font License", "GUST"),
        ("GNU General Public License with font exception", "GPL"),
        ("GNU Lesser General Public License", "LGPL"),
        ("The use of this font is granted subject to the Vera License", "Bitstream Vera"),
        ("Public Domain", "CC0"),
        ("No Rights Reserved.", "CC0"),
        ("http://creativecommons.org/licenses/by-sa/3.0/", "CC BY"),
    ],
)
def test_open_licences_are_recognised(text: str, licence: str):
    name = recognise(text)
    assert name is not None
    assert name.startswith(licence)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Copyright Example Foundry. All rights reserved.",
        "Copyright (c) Bitstream Inc. All rights reserved. Confidential.",
        "CC BY-NC 4.0",
        "CC-BY-ND",
        "Free for personal use",
        "You may not copy or distribute this font without permission.",
    ],
)
def test_texts_that_are_no_open_licence_are_not_recognised(text: str):
    assert recognise(text) is None


def test_a_licence_in_the_font_counts_first():
    font = read_font(BROUGHT / "STIXGeneral.ttf")
    assert font is not None
    licence = licence_of(font)
    assert licence is not None
    assert (licence.name, licence.source) == ("SIL OFL 1.1", "the font")


def _without_names(font: TTFont) -> None:
    font["name"].names = [name for name in font["name"].names if name.nameID in {1, 2}]


def _silent_font(folder: Path) -> Path:
    """Write a font that says nothing about its licence."""
    folder.mkdir(parents=True)
    return changed(folder / "silent.ttf", _without_names, SANS)


def _name_of_licence(path: Path) -> tuple[str, str] | None:
    font = read_font(path)
    assert font is not None
    licence = licence_of(font)
    return (licence.name, licence.source) if licence else None


def test_the_list_of_tex_live_is_read_for_its_fonts(tmp_path: Path):
    share = tmp_path / "share"
    fonts = share / "texlive" / "texmf-dist" / "fonts" / "opentype" / "public"
    path = _silent_font(fonts / "example")
    assert _name_of_licence(path) is None
    documents = share / "doc" / "texlive-fonts-extra"
    documents.mkdir(parents=True)
    listed = "other: gpl\n\texmf-dist/x/*\nexample: lppl1.3 ofl\ntexmf-dist/fonts/example/*\n"
    (documents / "Licenses.gz").write_bytes(gzip.compress(listed.encode()))
    unlisted = fonts / "unlisted"
    unlisted.mkdir()
    shutil.copy(path, unlisted)
    assert _name_of_licence(unlisted / "silent.ttf") is None


def test_the_copyright_file_of_a_debian_package_is_read(tmp_path: Path):
    path = _silent_font(tmp_path / "share" / "fonts" / "truetype" / "my-example")
    package = tmp_path / "share" / "doc" / "fonts-myexample"
    package.mkdir(parents=True)
    (package / "copyright").write_text(
        "Files: *\nLicense: proprietary\n\nFiles: x\nLicense: GPL-2+\n"
    )
    assert _name_of_licence(path) == ("GPL", "fonts-myexample/copyright")


def test_a_damaged_list_of_tex_live_is_no_licence(tmp_path: Path):
    share = tmp_path / "share"
    path = _silent_font(share / "texmf-dist" / "fonts" / "example")
    documents = share / "doc" / "texlive-fonts-extra"
    documents.mkdir(parents=True)
    (documents / "Licenses.gz").write_bytes(b"\x1f\x8bnot gzip")
    assert _name_of_licence(path) is None
