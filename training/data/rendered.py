"""Write a data set that is drawn by a program into a folder of images.

    FOLDER/train/CLASS/00000.png, FOLDER/test/CLASS/00000.png
    FOLDER/attributes.csv      the column `file`, then one for each attribute; empty if unknown
    FOLDER/classes.csv         names of classes that differ from their folders', if there are any
    FOLDER/LICENCES.md         what the images were made of, and under which licence

The folder appears complete or not at all: it is filled under another name and then renamed.
"""

import csv
import math
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.data.class_names import CLASSES, write_class_names
from training.errors import UsageError

ATTRIBUTES = "attributes.csv"
LICENCES = "LICENCES.md"


@dataclass(frozen=True)
class Rendered:
    """One image of a data set; `path` is relative to the folder, such as train/bob/00000.png."""

    path: str
    image: Image.Image
    attributes: Mapping[str, float]


def write(
    folder: Path,
    images: Iterable[Rendered],
    licences: str,
    class_names: Mapping[str, str] | None = None,
) -> None:
    """Write a data set into a new folder; raises UsageError if there is something already.

    All images have the same attributes; `class_names` are the names of classes by their folders. If
    drawing is interrupted, nothing is left.
    """
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} exists; remove it, or write to another folder by --out")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"cannot write to {folder.parent}: {error.strerror}") from error
    try:
        _fill(unfinished, images, licences)
        if class_names:
            write_class_names(unfinished / CLASSES, class_names)
        unfinished.chmod(0o755)  # mkdtemp's folders are private
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _fill(folder: Path, images: Iterable[Rendered], licences: str) -> None:
    (folder / LICENCES).write_text(licences, encoding="utf-8")
    with (folder / ATTRIBUTES).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        names: tuple[str, ...] | None = None
        for rendered in images:
            if names is None:
                names = tuple(rendered.attributes)
                table.writerow(["file", *names])
            path = folder / rendered.path
            path.parent.mkdir(parents=True, exist_ok=True)
            rendered.image.save(path)
            values = (rendered.attributes[name] for name in names)
            table.writerow([rendered.path, *map(_cell, values)])


def _cell(value: float) -> str:
    """Return a value as text; empty if it is unknown, which is NaN."""
    return "" if math.isnan(value) else f"{value:.4g}"
