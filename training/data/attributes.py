"""Read attributes.csv: numbers that a data set states for each of its images.

    file,weight,serif
    train/A/roboto-bold.png,700,0
    train/A/lora.png,400,

The column `file` has paths relative to the folder of the table, with `/`; every other column is an
attribute. An empty cell means that the value is unknown. A column that holds anything but numbers
is not read, and a message says so. A table may lie in the folder of a data set, in the folder of a
split, or in both.
"""

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from training.errors import DataError

ATTRIBUTES = "attributes.csv"
"""Name of the file, which is not one of an image."""

MAX_ATTRIBUTES = 64
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}")


@dataclass(frozen=True)
class AttributeTable:
    """The attributes of some files.

    Attributes:
        values: attribute -> path of an image -> value; a path that is missing is unknown.
        notices: messages about columns and files that are not read.
    """

    values: Mapping[str, Mapping[Path, float]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def columns(self, paths: Sequence[Path]) -> dict[str, Tensor]:
        """Return each attribute of these files; (files,) float32, NaN if unknown."""
        return {
            name: torch.tensor([column.get(path, math.nan) for path in paths], dtype=torch.float32)
            for name, column in self.values.items()
        }


def read_tables(folders: Iterable[Path]) -> AttributeTable:
    """Read the tables of all folders that have one.

    Raises DataError if a table has no column `file`, a name that cannot be used, a row of another
    length, or a file twice.
    """
    values: dict[str, dict[Path, float]] = {}
    notices: list[str] = []
    for path in (folder / ATTRIBUTES for folder in folders):
        if path.is_file():
            table = _read(path)
            notices += table.notices
            for name, column in table.values.items():
                values.setdefault(name, {}).update(column)
    return AttributeTable(values, tuple(notices))


def _read(path: Path) -> AttributeTable:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    _check_header(path, header)
    place = header.index("file")
    files: dict[Path, list[str]] = {}
    for row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}: a row has {len(row)} of {len(header)} cells: {row[0][:80]}")
        image = path.parent / row[place]
        if image in files:
            raise DataError(f"{path} has {row[place][:80]} twice; keep one of the rows")
        files[image] = row
    values: dict[str, dict[Path, float]] = {}
    notices: list[str] = []
    for index, name in enumerate(header):
        if index == place:
            continue
        numbers = {image: _number(row[index]) for image, row in files.items()}
        text = next((files[image][index] for image, n in numbers.items() if n is None), None)
        if text is None:
            values[name] = {image: n for image, n in numbers.items() if n is not None}
        else:
            notices.append(f"{path}: column {name} is not read: {text[:40]!r} is no number")
    return AttributeTable(values, tuple(notices))


def _check_header(path: Path, header: Sequence[str]) -> None:
    if "file" not in header:
        raise DataError(f"{path} has no column `file`, which names the image of each row")
    if len(header) - 1 > MAX_ATTRIBUTES:
        raise DataError(
            f"{path} has {len(header) - 1} attributes; at most {MAX_ATTRIBUTES} are read"
        )
    if len(set(header)) < len(header):
        raise DataError(f"{path} has two columns of one name")
    for name in header:
        if not _NAME.fullmatch(name):
            raise DataError(
                f"{path}: {name[:80]!r} cannot name an attribute; use a letter, then up to 39 "
                "letters, digits, `_`, `.` and `-`"
            )


def _number(text: str) -> float | None:
    """Return the number of a cell, NaN if it is empty, or None if it holds no finite number."""
    if not text.strip():
        return math.nan
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) or math.isnan(number) else None
