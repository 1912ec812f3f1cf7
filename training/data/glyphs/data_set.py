"""Write the data set: a folder of images with attributes, class names and licences.

    OUT/train/A/lato-bold.png ...   images of the fonts to train on
    OUT/test/a_/...                 images of families that no training image shows
    OUT/classes.csv                 folder -> class, because `a` and `A` are one folder on some disks
    OUT/attributes.csv              weight, slant, serif and width of each image's font
    OUT/LICENCES.md                 the fonts, their licences and copyright lines

A font's images have one name in all folders of classes.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.data import rendered
from training.data.glyphs.fonts import (
    CHARACTERS,
    FOLDERS,
    PACKAGES,
    Font,
    find_font_files,
    read_font,
)
from training.data.glyphs.licences import Licence, licence_of
from training.data.glyphs.rendering import render
from training.data.glyphs.selection import Drawn, choose, is_test_family
from training.data.rendered import Rendered
from training.errors import DataNotFoundError, UsageError

ATTRIBUTE_NAMES = ("weight", "slant", "serif", "width")


@dataclass(frozen=True)
class Built:
    """The fonts of both splits, and the number of fonts left out for each reason."""

    train: Sequence[Font]
    test: Sequence[Font]
    left_out: Mapping[str, int]

    @property
    def families(self) -> int:
        """Return the number of families of both splits."""
        return len({font.family for font in (*self.train, *self.test)})


def _ignore(_stage: str) -> None:
    pass


def build(
    out: Path, folders: Iterable[Path] = FOLDERS, report: Callable[[str], None] = _ignore
) -> Built:
    """Render the fonts of some folders into a new folder; raises DataNotFoundError, UsageError.

    The same font files give the same images. `report` is called with the name of each stage.
    """
    if out.exists():  # rendered.write refuses it too, after half a minute
        raise UsageError(f"{out} exists; remove it, or write to another folder by --out")
    folders = tuple(folders)
    report("looking for fonts")
    fonts, left_out = _open_fonts(find_font_files(folders))
    report(f"drawing {len(fonts)} fonts")
    drawn = [Drawn(font, images) for font in fonts if (images := render(font.path)) is not None]
    left_out["cannot be drawn at this size"] += len(fonts) - len(drawn)
    report("comparing them")
    chosen, not_chosen = choose(drawn)
    train = [each for each in chosen if not is_test_family(each.font.family)]
    test = [each for each in chosen if is_test_family(each.font.family)]
    if not (train and test):
        raise DataNotFoundError(_too_few(folders, len(chosen)))
    report(f"writing {len(chosen) * len(CHARACTERS)} images")
    names = _file_names([each.font for each in (*train, *test)])
    rendered.write(
        out,
        _images({"train": train, "test": test}, names),
        _licences_page(train, test, fonts),
        {folder_of(character): character for character in CHARACTERS},
    )
    return Built(
        [each.font for each in train],
        [each.font for each in test],
        {reason: number for reason, number in (left_out + not_chosen).items() if number},
    )


def folder_of(character: str) -> str:
    """Return the folder of a class; `a` and `A` would be one folder on macOS and Windows."""
    return f"{character}_" if character.islower() else character


def _open_fonts(files: Sequence[Path]) -> tuple[dict[Font, Licence], Counter[str]]:
    """Return the usable fonts with their licences, and why the other files are left out."""
    left_out: Counter[str] = Counter()
    fonts: dict[Font, Licence] = {}
    for path in files:
        font = read_font(path)
        if font is None:
            left_out["lacks a character"] += 1
        elif (licence := licence_of(font)) is None:
            left_out["has no open licence that is recognised"] += 1
        else:
            fonts[font] = licence
    return fonts, left_out


def _too_few(folders: Sequence[Path], fonts: int) -> str:
    searched = ", ".join(map(str, folders))
    return (
        f"{fonts} usable fonts in {searched}; some hundreds are needed. On Debian: apt install "
        f"{' '.join(PACKAGES)}; or name other folders with --fonts"
    )


def _images(splits: Mapping[str, Sequence[Drawn]], names: Mapping[Font, str]) -> Iterator[Rendered]:
    """Yield all images, class by class."""
    for split, fonts in splits.items():
        for index, character in enumerate(CHARACTERS):
            for each in fonts:
                path = f"{split}/{folder_of(character)}/{names[each.font]}"
                attributes = {name: getattr(each.font, name) for name in ATTRIBUTE_NAMES}
                yield Rendered(path, Image.fromarray(each.images[index]), attributes)


def _file_names(fonts: Sequence[Font]) -> dict[Font, str]:
    """Return a file name for each font; fonts of one name are numbered."""
    names: dict[Font, str] = {}
    used: Counter[str] = Counter()
    for font in fonts:
        slug = re.sub(r"[^a-z0-9]+", "-", font.name.casefold()).strip("-") or "font"
        used[slug] += 1
        names[font] = f"{slug}.png" if used[slug] == 1 else f"{slug}-{used[slug]}.png"
    return names


def _licences_page(
    train: Sequence[Drawn], test: Sequence[Drawn], licences: Mapping[Font, Licence]
) -> str:
    """Return the page of licences: a table of how many fonts have which, and one of the fonts."""
    rows = [
        (each.font, split) for split, part in (("train", train), ("test", test)) for each in part
    ]
    counts = Counter(licences[font].name for font, _ in rows)
    lines = [
        "# Licences of the fonts",
        "",
        "The images beside this file were drawn from these fonts, each under an open licence.",
        "",
        "| licence | fonts |",
        "|---|---|",
        *(f"| {name} | {number} |" for name, number in counts.most_common()),
        "",
        "| font | split | licence | stated in | copyright |",
        "|---|---|---|---|---|",
    ]
    for font, split in sorted(rows, key=lambda row: row[0].name.casefold()):
        licence = licences[font]
        cells = (font.name, split, licence.name, licence.source, font.copyright)
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
