"""Read a folder of images into memory.

    FOLDER/train/..., FOLDER/test/...   both splits; val/ and other names: see folder_files.py
    FOLDER/...                          a fraction is held out as test, the same one each time

Subfolders for classes are optional: if all images are in two or more subfolders, the names of these
are the classes. Subfolders may be links. FOLDER/attributes.csv may state numbers about each image: see
attributes.py; FOLDER/classes.csv may name the classes: see class_names.py. Images are prepared by the
function that also prepares the service's uploads, as the preset's `model.upload` says.
"""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model_store.errors import ImageError
from model_store.preprocessing import from_pillow, prepare, to_bytes
from model_store.spec import ModelSpec
from training.config import Data
from training.data.attributes import AttributeTable, read_tables
from training.data.class_names import read_class_names
from training.data.folder_files import (
    Files,
    classes_notices,
    find_classes,
    find_files,
    find_splits,
    skipped_notices,
)
from training.data.images import Images, Splits
from training.errors import DataNotFoundError

HOLDOUT_SEED = 0
MAX_LISTED = 10
"""Number of skipped files that are listed by name; the others are counted."""

_FRAMES = frozenset({"GIF", "PNG", "TIFF", "WEBP"})
"""Formats whose further frames are images too; those of MPO are previews and other views."""

Bytes = NDArray[np.uint8]


class _Prepared(NamedTuple):
    """An image in the form that the model takes, or the reason why it cannot be used."""

    pixels: Bytes | None
    """(channels, height, width), uint8."""
    reason: str = ""
    has_more_frames: bool = False


class _Read(NamedTuple):
    """The usable images of a folder."""

    images: Images
    unusable: list[str]
    """A message about each image file that cannot be used."""
    frames: int
    """Number of files that have more frames than the first, which is read."""


def load(data: Data, folder: Path, spec: ModelSpec) -> Splits:
    """Read both splits; raises DataNotFoundError if there are too few images."""
    if not folder.is_dir():
        raise DataNotFoundError(
            f"no folder {folder}; set --data-dir or --set data.folder=PATH to a folder of images"
        )
    splits = find_splits(folder)
    if splits is None or splits.test is None:
        notices = splits.notices if splits else ()
        table = read_tables([folder] if splits is None else [folder, splits.train])
        one = _from_one(data, splits.train if splits else folder, notices, spec, table)
        return _with_class_names(one, folder)
    files = (find_files(splits.train), find_files(splits.test))
    title = folder.resolve().name
    if splits.test.name != "test":
        title += f" ({splits.test.name} as test)"
    table = read_tables([folder, splits.train, splits.test])
    two = _from_two(data, title, files, splits.notices, spec, table)
    return _with_class_names(two, folder)


def _with_class_names(splits: Splits, folder: Path) -> Splits:
    """Rename the classes that the folder's classes.csv names otherwise than their folders."""
    if splits.classes is None:
        return splits
    return replace(splits, classes=read_class_names(folder, splits.classes))


def _from_two(  # noqa: PLR0917 - the parts of one data set
    data: Data,
    title: str,
    files: tuple[Files, Files],
    notices: tuple[str, ...],
    spec: ModelSpec,
    table: AttributeTable,
) -> Splits:
    """Read a folder that has a folder for each split; `notices` are about what is beside them."""
    per_part = {find_classes(part) for part in files}
    classes = None
    if None not in per_part:
        classes = tuple(sorted({name for names in per_part for name in names or ()}))
    train, test = (_read(part, classes, spec, table) for part in files)
    return Splits(
        title,
        train.images.shuffled(HOLDOUT_SEED).first(data.train_images),
        test.images,
        classes,
        (*notices, *table.notices, *_notices(files, (train, test), classes)),
    )


def _from_one(
    data: Data, folder: Path, notices: tuple[str, ...], spec: ModelSpec, table: AttributeTable
) -> Splits:
    """Read a folder without splits, and hold out a fraction of its images."""
    files = find_files(folder)
    classes = find_classes(files)
    read = _read(files, classes, spec, table)
    images = read.images
    if len(images) < 2:
        raise DataNotFoundError(
            f"only one usable image in {folder}; two are needed, one of them to measure on"
        )
    held_out = min(max(1, round(data.holdout * len(images))), len(images) - 1)
    images = images.shuffled(HOLDOUT_SEED)
    test, train = images.first(held_out), images.without_first(held_out)
    title = (
        f"{folder.resolve().name} ({held_out} of {len(images)} images held out as test, "
        f"torch seed {HOLDOUT_SEED})"
    )
    notices = (*notices, *table.notices, *_notices((files,), (read,), classes))
    return Splits(title, train.first(data.train_images), test, classes, notices)


def _notices(
    files: tuple[Files, ...], read: tuple[_Read, ...], classes: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Return the messages about everything that is not read as it is in the files."""
    unusable = [line for each in read for line in each.unusable]
    skipped = skipped_notices(files, unusable, sum(each.frames for each in read), MAX_LISTED)
    return (*classes_notices(files, classes), *skipped)


def _read(
    files: Files, classes: tuple[str, ...] | None, spec: ModelSpec, table: AttributeTable
) -> _Read:
    """Read the images of a folder; raises DataNotFoundError if none can be used."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without holding the GIL
        results = list(pool.map(lambda path: _prepared(path, spec), files.images))
    pairs = list(zip(files.images, results, strict=True))
    unusable = [f"{path}: {each.reason}" for path, each in pairs if each.pixels is None]
    usable = [(path, each.pixels) for path, each in pairs if each.pixels is not None]
    if not usable:
        skipped = [*unusable, *files.problems]
        example = f"; {len(skipped)} were skipped, such as {skipped[0]}" if skipped else ""
        raise DataNotFoundError(f"no usable images in {files.folder}{example}")
    labels = None
    if classes is not None:
        index = {name: label for label, name in enumerate(classes)}
        names = (path.relative_to(files.folder).parts[0] for path, _ in usable)
        labels = torch.tensor([index[name] for name in names])
    pixels = torch.from_numpy(np.stack([pixels for _, pixels in usable]))
    images = Images(pixels, labels, table.columns([path for path, _ in usable]))
    return _Read(images, unusable, sum(each.has_more_frames for each in results))


@cache
def _read_heif() -> None:
    """Let Pillow open HEIC photos, if the library pi_heif is installed; otherwise it cannot open them."""
    with contextlib.suppress(ImportError):
        from pi_heif import register_heif_opener  # noqa: PLC0415 - for such folders only

        register_heif_opener()


def _prepared(path: Path, spec: ModelSpec) -> _Prepared:
    _read_heif()
    try:
        with Image.open(path) as opened:
            frames = opened.format in _FRAMES and getattr(opened, "is_animated", False)
            image = from_pillow(opened)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on damaged bytes
        message = str(error).partition("\n")[0][:80] or type(error).__name__
        return _Prepared(None, f"cannot be read: {message}")
    width, height = image.size
    if 2 * width < spec.image.width or 2 * height < spec.image.height:
        small = f"{width}x{height} is less than half of {spec.image.width}x{spec.image.height}"
        return _Prepared(None, small)
    try:
        return _Prepared(to_bytes(prepare(image, spec)), has_more_frames=bool(frames))
    except ImageError as error:
        return _Prepared(None, str(error))
