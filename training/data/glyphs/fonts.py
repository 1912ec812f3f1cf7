"""Find font files and read what they state about themselves.

Weight, slant, width and serifs are the fonts' own metadata. Where tables contradict each other, as
in a font that calls itself bold and has the weight of a regular one, the value is unknown (NaN).
"""

import logging
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The classes, in the order of their labels."""

FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/share/texmf/fonts"),
    Path("/usr/share/texlive/texmf-dist/fonts"),
    Path("/usr/local/share/fonts"),
)
"""Folders in which Debian's packages, and users by hand, install fonts."""

PACKAGES = (
    "texlive-fonts-extra",
    "fonts-noto-core",
    "fonts-urw-base35",
    "fonts-lato",
    "fonts-roboto-unhinted",
    "fonts-inter",
)
"""Debian packages that bring enough open fonts between them."""

SUFFIXES = frozenset({".otf", ".ttf"})

_WIDTHS = {1: 50, 2: 62.5, 3: 75, 4: 87.5, 5: 100, 6: 112.5, 7: 125, 8: 150, 9: 200}
"""usWidthClass -> width in percent of the normal one, as the OpenType specification lists them."""
_BOLD = re.compile(r"bold|black|heavy|fat\b", re.IGNORECASE)
_LIGHT = re.compile(r"light|thin|hairline", re.IGNORECASE)
_ITALIC = re.compile(r"italic|oblique|slanted", re.IGNORECASE)
_NARROW_OR_WIDE = re.compile(r"cond|narrow|compress|extended|expanded|wide\b", re.IGNORECASE)
_SERIF = re.compile(r"\bserif|\bslab|\bantiqua", re.IGNORECASE)
_SANS = re.compile(r"\bsans|grotesk|gothic", re.IGNORECASE)


@dataclass(frozen=True)
class Font:
    """A font that has every character, and what it states about itself; NaN is unknown."""

    path: Path
    family: str
    style: str
    weight: float
    """From 1 to 1000; 400 is regular, 700 is bold."""
    slant: float
    """Degrees that upright strokes lean to the right."""
    serif: float
    """1 with serifs, 0 without."""
    width: float
    """Percent of the normal width."""
    copyright: str
    licence_text: str
    """The font's description and address of its licence; may be empty."""

    @property
    def name(self) -> str:
        """Return family and style, for people."""
        return f"{self.family} {self.style}".strip()


def find_font_files(folders: Iterable[Path]) -> list[Path]:
    """Return the font files below the folders that exist, each file once, sorted by name."""
    files: dict[str, Path] = {}
    for folder in folders:
        for parent, _, names in os.walk(folder, followlinks=True):
            for name in names:
                path = Path(parent, name)
                if path.suffix.lower() in SUFFIXES and path.is_file():
                    files.setdefault(os.path.realpath(path), path)
    return sorted(files.values(), key=lambda path: (path.name, str(path)))


def read_font(path: Path) -> Font | None:
    """Read a font's metadata; None if it lacks a character or its tables are damaged."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it warns of harmless faults
    try:
        with path.open("rb") as opened, TTFont(opened, lazy=True) as file:
            cmap = file.getBestCmap() or {}
            has_all = all(ord(character) in cmap for character in CHARACTERS)
            return _read(path, file) if has_all else None
    except Exception:  # noqa: BLE001 - a parser may raise anything on damaged bytes
        return None


def _read(path: Path, file: TTFont) -> Font | None:
    family, style = _name(file, 16, 1), _name(file, 17, 2)
    if not family:
        return None
    os2, family_class = file["OS/2"], file["OS/2"].sFamilyClass >> 8
    bold = bool(os2.fsSelection & 1 << 5) or bool(_BOLD.search(style))
    italic = bool(os2.fsSelection & 1) or bool(_ITALIC.search(style))
    return Font(
        path,
        family,
        style,
        weight=weight_of(os2.usWeightClass, bold=bold, light=bool(_LIGHT.search(style))),
        slant=slant_of(file["post"].italicAngle, italic=italic),
        serif=serif_of(os2.panose.bFamilyType, os2.panose.bSerifStyle, family_class, family),
        width=width_of(os2.usWidthClass, f"{family} {style}"),
        copyright=" ".join(_name(file, 0).split())[:200],
        licence_text=f"{_name(file, 13)} {_name(file, 14)}".strip(),
    )


def _name(file: TTFont, *ids: int) -> str:
    """Return the first of these names that the font has, or an empty text."""
    names = (file["name"].getDebugName(name_id) for name_id in ids)
    return " ".join(next((name for name in names if name), "").split())


def weight_of(weight_class: int, *, bold: bool, light: bool) -> float:
    """Return usWeightClass, or NaN if it is none or contradicts the style."""
    weight = weight_class * 100 if 1 <= weight_class <= 9 else weight_class  # old fonts count to 9
    contradicts = (bold and weight < 550) or (light and not bold and weight > 400)
    return math.nan if not 1 <= weight <= 1000 or contradicts else float(weight)


def slant_of(italic_angle: float, *, italic: bool) -> float:
    """Return the angle in degrees to the right, or NaN if it is missing or absurd."""
    missing = italic and not italic_angle
    return math.nan if missing or abs(italic_angle) > 45 else -float(italic_angle) + 0.0


def serif_of(family_type: int, serif_style: int, family_class: int, family: str) -> float:
    """Return 1 or 0 by PANOSE, then by the class of IBM, then by the family's name; else NaN."""
    if family_type == 2 and serif_style >= 2:
        return float(serif_style <= 10)
    if family_class in {1, 2, 3, 4, 5, 7}:
        return 1.0
    if family_class == 8:
        return 0.0
    if _SANS.search(family):
        return 0.0
    return 1.0 if _SERIF.search(family) else math.nan


def width_of(width_class: int, name: str) -> float:
    """Return the width in percent, or NaN if it is missing or contradicts the name."""
    if width_class == 5 and _NARROW_OR_WIDE.search(name):
        return math.nan
    return float(_WIDTHS.get(width_class, math.nan))
