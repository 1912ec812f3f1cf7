"""Recognise the open licence of a font, from the font itself or from the files of its package.

Three places are looked at, in this order: the font's name table; the list of licences that Debian's
packages of TeX Live bring (`Licenses.gz`); the `copyright` file of a Debian package whose name
matches a folder of the font's path. A font without a recognised open licence is not used.
"""

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from training.data.glyphs.fonts import Font

_PATTERNS = (
    ("SIL OFL 1.1", r"open\s*font\s*licen[cs]e|\bOFL\b|reserved font name"),
    ("Apache 2.0", r"apache"),
    ("GUST Font License", r"\bGUST\b"),
    ("LPPL", r"\bLPPL\b|latex project public"),
    ("AGPL", r"\bAGPL|affero general public"),
    ("LGPL", r"\bLGPL|(?:lesser|library) general public"),
    ("GPL", r"\bGPL|general public licen[cs]e"),
    ("Bitstream Vera", r"vera licen[cs]e|bitstream vera"),
    ("ParaType free font licence", r"paratype ltd grants you the right to use, copy, modify"),
    ("MIT", r"\bMIT licen[cs]e|\bX11 licen[cs]e|permission is hereby granted, free of charge"),
    ("BSD", r"\bBSD\b|redistribution and use in source and binary forms"),
    ("CC0 or public domain", r"public domain|\bCC0\b|\bno rights reserved"),
    ("CC BY", r"\bCC[- ]BY(?![- ](?:NC|ND))|creativecommons\.org/licenses/by(?:-sa)?/"),
)
"""Names of licences and the expressions that give them away; the first that matches counts."""

_TEX_LIVE = {
    "ofl": "SIL OFL 1.1",
    "apache2": "Apache 2.0",
    "gfl": "GUST Font License",
    "gfsl": "GUST Font License",
    "agpl3": "AGPL",
    "gpl": "GPL",
    "gpl2": "GPL",
    "gpl2+": "GPL",
    "gpl3": "GPL",
    "gpl3+": "GPL",
    "lgpl": "LGPL",
    "lgpl2.1": "LGPL",
    "lgpl3": "LGPL",
    "mit": "MIT",
    "x11": "MIT",
    "bsd": "BSD",
    "bsd2": "BSD",
    "bsd3": "BSD",
    "pd": "CC0 or public domain",
    "cc0": "CC0 or public domain",
    "cc-by-4": "CC BY",
    "lppl1": "LPPL",
    "lppl1.2": "LPPL",
    "lppl1.3": "LPPL",
    "lppl1.3a": "LPPL",
    "lppl1.3c": "LPPL",
    "lppl": "LPPL",
}
"""Words of TeX Live's list -> licence, the one that is likelier to be the fonts' first."""

MAX_LIST_BYTES = 20_000_000


@dataclass(frozen=True)
class Licence:
    """An open licence, and where it is stated."""

    name: str
    source: str


def licence_of(font: Font) -> Licence | None:
    """Return the licence of a font, or None if no open one is recognised."""
    name = recognise(f"{font.licence_text} {font.copyright}")
    if name is not None:
        return Licence(name, "the font")
    for documents, folders in _documents(font.path):
        licence = _by_tex_live(documents, folders) or _by_debian(documents, folders)
        if licence is not None:
            return licence
    return None


def recognise(text: str) -> str | None:
    """Return the name of the open licence that a text is or mentions, or None."""
    for name, pattern in _PATTERNS:
        if re.search(pattern, text, re.IGNORECASE):
            return name
    return None


def _documents(path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield usr/share/doc of the font, and the folders between usr/share and the font, inner first."""
    for parent in path.parents:
        if parent.name == "share":
            yield parent / "doc", list(reversed(path.relative_to(parent).parts[:-1]))


def _by_tex_live(documents: Path, folders: list[str]) -> Licence | None:
    if "texmf-dist" not in folders:
        return None
    for path in sorted(documents.glob("texlive-*/Licenses.gz")):
        listed = _tex_live_list(path)
        words = next((listed[folder] for folder in folders if folder in listed), ())
        for word, name in _TEX_LIVE.items():
            if word in words:
                return Licence(name, f"{path.parent.name}/{path.name}")
    return None


@cache
def _tex_live_list(path: Path) -> dict[str, tuple[str, ...]]:
    """Return package -> words for its licences; empty if the file cannot be read."""
    try:
        with gzip.open(path) as file:
            text = file.read(MAX_LIST_BYTES).decode(errors="replace")
    except (OSError, EOFError):
        return {}
    lines = re.findall(r"^([\w.+-]+):[ \t]+(.+)$", text, re.MULTILINE)
    return {package: tuple(words.split()) for package, words in lines}


def _by_debian(documents: Path, folders: list[str]) -> Licence | None:
    for folder in folders:
        plain = folder.removeprefix("fonts-")
        for package in (f"fonts-{plain}", f"fonts-{plain.replace('-', '')}"):
            name = _debian_licence(documents / package / "copyright")
            if name is not None:
                return Licence(name, f"{package}/copyright")
    return None


@cache
def _debian_licence(path: Path) -> str | None:
    """Return the licence of the first `License:` that is recognised, or of the text as a whole."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    for line in re.findall(r"^License:\s*(.+)$", text, re.MULTILINE):
        name = recognise(line)
        if name is not None:
            return name
    return recognise(text)
