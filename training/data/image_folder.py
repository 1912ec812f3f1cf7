"""A user's own folder of images, read once into memory.

    FOLDER/train/..., FOLDER/test/...   both splits; or
    FOLDER/...                          a share is held out, the same one each time

In either, class subfolders are optional: where all images lie in two or more of them, their names
are the classes. Images are prepared by the same function as the service's uploads, as `model.upload`
of the preset says.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model_store.errors import ImageError
from model_store.preprocessing import from_pillow, prepare, to_bytes
from model_store.spec import ModelSpec
from training.config import Data
from training.data.loading import Images, Splits
from training.errors import DataNotFoundError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
HOLDOUT_SEED = 0
LISTED = 10
"""Skipped files that are named; the rest are counted."""

Bytes = NDArray[np.uint8]


def load(data: Data, folder: Path, spec: ModelSpec) -> Splits:
    """Both splits; raises DataNotFoundError where there is nothing to train or to measure on."""
    if not folder.is_dir():
        raise DataNotFoundError(
            f"no folder {folder}; name a folder of images by --data-dir or --set data.folder=PATH"
        )
    parts = (folder / "train", folder / "test")
    if all(part.is_dir() for part in parts):
        return _from_two(data, folder.resolve().name, parts, spec)
    return _from_one(data, folder, spec)


def _from_two(data: Data, title: str, parts: tuple[Path, Path], spec: ModelSpec) -> Splits:
    files = tuple(_image_files(part) for part in parts)
    names = {_classes(part, found) for part, found in zip(parts, files, strict=True)}
    classes = None if None in names else tuple(sorted({c for each in names for c in each or ()}))
    read = [_read(part, found, classes, spec) for part, found in zip(parts, files, strict=True)]
    (train, skipped_train), (test, skipped_test) = read
    return Splits(
        title,
        train.shuffled(HOLDOUT_SEED).first(data.train_images),
        test,
        classes,
        _listed([*skipped_train, *skipped_test], sum(map(len, files))),
    )


def _from_one(data: Data, folder: Path, spec: ModelSpec) -> Splits:
    files = _image_files(folder)
    classes = _classes(folder, files)
    images, skipped = _read(folder, files, classes, spec)
    if len(images) < 2:
        raise DataNotFoundError(
            f"one image in {folder}, which leaves none to measure on; two are needed"
        )
    held_out = min(max(1, round(data.holdout * len(images))), len(images) - 1)
    images = images.shuffled(HOLDOUT_SEED)
    test, train = images.first(held_out), images.without_first(held_out)
    title = (
        f"{folder.resolve().name} ({held_out} of {len(images)} images held out as test, "
        f"torch seed {HOLDOUT_SEED})"
    )
    notices = _listed(skipped, len(files))
    return Splits(title, train.first(data.train_images), test, classes, notices)


def _image_files(folder: Path) -> list[Path]:
    """Below a folder, by name; hidden ones left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _classes(folder: Path, files: Iterable[Path]) -> tuple[str, ...] | None:
    """Names of the subfolders, where all images lie in two or more of them."""
    parts = [path.relative_to(folder).parts for path in files]
    names = sorted({part[0] for part in parts if len(part) > 1})
    return tuple(names) if len(names) > 1 and all(len(part) > 1 for part in parts) else None


def _read(
    folder: Path, files: list[Path], classes: tuple[str, ...] | None, spec: ModelSpec
) -> tuple[Images, list[str]]:
    """The images that can be used, and a line for each that cannot."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of the lock
        read = list(pool.map(lambda path: _prepared(path, spec), files))
    pairs = list(zip(files, read, strict=True))
    skipped = [f"{path}: {why}" for path, why in pairs if isinstance(why, str)]
    used = [(path, pixels) for path, pixels in pairs if not isinstance(pixels, str)]
    if not used:
        found = f"; {len(skipped)} were skipped, such as {skipped[0]}" if skipped else ""
        raise DataNotFoundError(f"no images that can be used in {folder}{found}")
    labels = None
    if classes is not None:
        places = {name: place for place, name in enumerate(classes)}
        labels = torch.tensor([places[path.relative_to(folder).parts[0]] for path, _ in used])
    return Images(torch.from_numpy(np.stack([pixels for _, pixels in used])), labels), skipped


def _prepared(path: Path, spec: ModelSpec) -> Bytes | str:
    """Return an image as the model takes it, or the reason why the file cannot be used.

    The image is (channels, height, width), uint8.
    """
    try:
        with Image.open(path) as opened:
            image = from_pillow(opened)
    except Exception as error:  # noqa: BLE001 - a decoder may raise anything on damaged bytes
        return f"cannot be read: {str(error).partition(chr(10))[0][:80] or type(error).__name__}"
    width, height = image.size
    if 2 * width < spec.image.width or 2 * height < spec.image.height:
        return f"{width}x{height} is less than half of {spec.image.width}x{spec.image.height}"
    try:
        return to_bytes(prepare(image, spec))
    except ImageError as error:
        return str(error)


def _listed(skipped: list[str], files: int) -> tuple[str, ...]:
    if not skipped:
        return ()
    more = [f"  and {len(skipped) - LISTED} more"] if len(skipped) > LISTED else []
    lines = [f"  {line}" for line in skipped[:LISTED]]
    return (f"{len(skipped)} of {files} files are skipped:", *lines, *more)
