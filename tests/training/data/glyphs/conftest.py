"""Fonts for the tests: those that matplotlib brings, and changed copies of them."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

BROUGHT = Path(mpl.get_data_path()) / "fonts" / "ttf"
SANS = BROUGHT / "DejaVuSans.ttf"

Change = Callable[[TTFont], None]


def changed(path: Path, change: Change, source: Path = SANS) -> Path:
    """Write a changed copy of a font."""
    with TTFont(source) as font:
        change(font)
        font.save(path)
    return path


def draws(characters: Mapping[str, str]) -> Change:
    """Return a change after which a font draws other characters than its tables say."""

    def change(font: TTFont) -> None:
        tables = [table.cmap for table in font["cmap"].tables if table.isUnicode()]
        for cmap in {id(cmap): cmap for cmap in tables}.values():  # tables may share one
            cmap.update({ord(old): cmap[ord(new)] for old, new in characters.items()})

    return change


def renamed(family: str, style: str = "Book") -> Change:
    """Return a change of the names of a font's family and style."""
    names = {1: family, 16: family, 2: style, 17: style}

    def change(font: TTFont) -> None:
        for record in font["name"].names:
            record.string = names.get(record.nameID, record.string)

    return change


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of five fonts; one family, STIXGeneral, belongs to the test split."""
    folder = tmp_path_factory.mktemp("fonts")
    names = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "DejaVuSerif-Bold", "STIXGeneral")
    for name in names:
        shutil.copy(BROUGHT / f"{name}.ttf", folder)
    return folder
