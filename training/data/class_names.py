"""Read classes.csv: the names of classes whose folders have other names.

    folder,class
    a_,a
    A,A

On macOS and Windows, `a` and `A` are the same folder, and some names cannot be folders at all. The
table lies beside the folders of the splits. A folder that it does not list has the name of its class.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

from training.errors import DataError

CLASSES = "classes.csv"
_HEADER = ["folder", "class"]


def read_class_names(folder: Path, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Return the name of the class of each folder; raises DataError if a table cannot be used."""
    path = folder / CLASSES
    if not path.is_file():
        return folders
    table = _read(path)
    names = tuple(table.get(name, name) for name in folders)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: several folders have the class {twice[:80]!r}; name each once")
    return names


def write_class_names(path: Path, classes: Mapping[str, str]) -> None:
    """Write a table of folder -> class."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([_HEADER, *classes.items()])


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if header != _HEADER or any(len(row) != len(_HEADER) or not all(row) for row in rows):
        raise DataError(f"{path} is no table of the columns {','.join(_HEADER)}")
    return dict(rows)
