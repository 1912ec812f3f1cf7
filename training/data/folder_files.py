"""Find the image files of a folder, its splits and its classes, and report what is not read.

Links to folders are followed. Files without the suffix of an image (other than DESCRIPTIONS), hidden
files, broken links and folders that cannot be listed are not read, and all of them are counted.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.data.attributes import ATTRIBUTES
from training.data.class_names import CLASSES
from training.errors import DataNotFoundError

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif"}
    | {".tiff", ".webp"}
)
DESCRIPTIONS = frozenset({ATTRIBUTES, CLASSES, "LICENCES.md"})
"""Names of files that describe the images beside them."""
TRAIN = ("train", "training")
"""Names of a folder that holds the training split, in any case."""
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of a folder that holds the images to measure on, in any case."""


@dataclass
class Files:
    """The files below a folder.

    Attributes:
        folder: the folder that was searched.
        images: image files by their names, sorted by path.
        problems: a message for each path that cannot be followed or listed.
        others: what is not read -> number of files; `.db` for a suffix, or `hidden`.
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class SplitFolders:
    """The folders of the splits, and messages about what is beside them and is not read."""

    train: Path
    test: Path | None
    """None if a part of the training folder is to be held out."""
    notices: tuple[str, ...]


def find_files(folder: Path) -> Files:
    """Find all files below a folder."""
    files = Files(folder)
    _search(folder, (), files)
    files.images.sort()
    return files


def _search(folder: Path, above: tuple[str, ...], files: Files) -> None:
    """Search a folder; `above` are the real paths of the folders above it."""
    real = os.path.realpath(folder)
    if real in above:
        files.problems.append(f"{folder}: the link leads back to a folder above it")
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        files.problems.append(f"{folder}: cannot be listed: {error.strerror}")
        return
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            files.others["hidden"] += 1
        elif entry.is_dir():
            _search(path, (*above, real), files)
        elif not entry.is_file():
            files.problems.append(f"{path}: {_kind(entry)}")
        elif path.suffix.lower() in SUFFIXES:
            files.images.append(path)
        elif entry.name in DESCRIPTIONS:
            continue  # read by attributes.py and class_names.py, or by people
        else:
            files.others[path.suffix.lower() or "without a suffix"] += 1


def _kind(entry: "os.DirEntry[str]") -> str:
    return "is a broken link" if entry.is_symlink() else "is no file"


def find_splits(folder: Path) -> SplitFolders | None:
    """Return the folders of the splits, or None if no subfolder is named like one.

    A single name among the subfolders is that of a class, such as trains among other vehicles.
    Raises DataNotFoundError if the names do not tell which folder is which.
    """
    children = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    folders = [path for path in children if path.is_dir()]
    train = [path for path in folders if path.name.lower() in TRAIN]
    test = [path for path in folders if path.name.lower() in TEST]
    if not (train or test) or (not (train and test) and len(folders) > len(train) + len(test)):
        return None
    if not train:
        raise DataNotFoundError(
            f"{folder} has {_names(test)} and no train/: name the folder to train on train/"
        )
    chosen = [path for path in test if path.name.lower() == TEST[0]] or test
    if len(train) > 1 or len(chosen) > 1:
        raise DataNotFoundError(
            f"{folder} has {_names([*train, *test])}: which are the two splits? keep train/ and "
            "test/, and move the others elsewhere"
        )
    used = [train[0], *chosen]
    notices = [
        _unused(path) for path in children if path not in used and path.name not in DESCRIPTIONS
    ]
    if not chosen:
        notices.append(f"there is no test/ beside {train[0]}/, so a part of it is held out")
    return SplitFolders(train[0], chosen[0] if chosen else None, tuple(notices))


def find_classes(files: Files) -> tuple[str, ...] | None:
    """Return the names of the subfolders if all images are in two or more of them, else None."""
    names = _top_folders(files)
    return tuple(names) if len(names) > 1 and not _outside(files) else None


def classes_notices(all_files: Sequence[Files], classes: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return messages about subfolders that look like classes and are not, or like splits."""
    if classes is not None:
        splits = [name for name in classes if name.lower() in {*TRAIN, *TEST}]
        return tuple(f"{name}/ is read as a class, because it is not alone" for name in splits)
    if not any(len(_top_folders(files)) > 1 for files in all_files):
        return ()
    outside = [path for files in all_files for path in _outside(files)]
    if outside:
        reason = f"{len(outside)} images are in no subfolder, such as {outside[0]}"
    else:
        single = next(files for files in all_files if len(_top_folders(files)) < 2)
        reason = f"all images of {single.folder} are in one subfolder"
    return (f"the subfolders are not used as classes: {reason}",)


def skipped_notices(
    all_files: Sequence[Files], unusable: Sequence[str], frames: int, most_listed: int
) -> tuple[str, ...]:
    """Return messages about everything that is not read.

    `unusable` has a message for each image file that cannot be used, and `frames` is the number of
    files of which only the first of several frames is read.
    """
    skipped = [*unusable, *(problem for files in all_files for problem in files.problems)]
    total = sum(len(files.images) + len(files.problems) for files in all_files)
    notices: list[str] = []
    if skipped:
        more = len(skipped) - most_listed
        notices += [f"{len(skipped)} of {total} files are skipped:"]
        notices += [f"  {line}" for line in skipped[:most_listed]]
        notices += [f"  and {more} more"] if more > 0 else []
    others: Counter[str] = sum((files.others for files in all_files), Counter())
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        notices.append(f"{others.total()} other files are not read: {kinds}")
    if frames:
        notices.append(f"{frames} files have several frames; only the first is read")
    return tuple(notices)


def _top_folders(files: Files) -> list[str]:
    parts = (path.relative_to(files.folder).parts for path in files.images)
    return sorted({part[0] for part in parts if len(part) > 1})


def _outside(files: Files) -> list[Path]:
    return [path for path in files.images if path.parent == files.folder]


def _unused(path: Path) -> str:
    if not path.is_dir():
        return f"{path} is not read: it is beside the splits"
    images = len(find_files(path).images)
    return f"{path}/ is not read: {images} images beside the splits"


def _names(folders: Iterable[Path]) -> str:
    return ", ".join(f"{folder.name}/" for folder in folders)
