"""Read a folder of images into memory.

    FOLDER/train/..., FOLDER/test/...   both splits
    FOLDER/...                          a fraction is held out as test, the same one each time

Subfolders for classes are optional: if all images are in two or more subfolders, the names of these
are the classes. Images are prepared by the function that also prepares the service's uploads, as
the preset's `model.upload` says.
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
from training.data.images import Images, Splits
from training.errors import DataNotFoundError

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
HOLDOUT_SEED = 0
MAX_LISTED = 10
"""Number of skipped files that are listed by name; the others are counted."""

Bytes = NDArray[np.uint8]


def load(data: Data, folder: Path, spec: ModelSpec) -> Splits:
    """Read both splits; raises DataNotFoundError if there are too few images."""
    if not folder.is_dir():
        raise DataNotFoundError(
            f"no folder {folder}; set --data-dir or --set data.folder=PATH to a folder of images"
        )
    parts = (folder / "train", folder / "test")
    if all(part.is_dir() for part in parts):
        return _from_two(data, folder.resolve().name, parts, spec)
    return _from_one(data, folder, spec)


def _from_two(data: Data, title: str, parts: tuple[Path, Path], spec: ModelSpec) -> Splits:
    """Read a folder that has train/ and test/."""
    files = tuple(_image_files(part) for part in parts)
    per_part = {_classes(part, paths) for part, paths in zip(parts, files, strict=True)}
    classes = None
    if None not in per_part:
        classes = tuple(sorted({name for names in per_part for name in names or ()}))
    read = [_read(part, paths, classes, spec) for part, paths in zip(parts, files, strict=True)]
    (train, skipped_train), (test, skipped_test) = read
    return Splits(
        title,
        train.shuffled(HOLDOUT_SEED).first(data.train_images),
        test,
        classes,
        _skipped_notices([*skipped_train, *skipped_test], sum(map(len, files))),
    )


def _from_one(data: Data, folder: Path, spec: ModelSpec) -> Splits:
    """Read a folder without train/ and test/, and hold out a fraction of its images."""
    files = _image_files(folder)
    classes = _classes(folder, files)
    images, skipped = _read(folder, files, classes, spec)
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
    notices = _skipped_notices(skipped, len(files))
    return Splits(title, train.first(data.train_images), test, classes, notices)


def _image_files(folder: Path) -> list[Path]:
    """Find the image files below a folder, sorted by path, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _classes(folder: Path, files: Iterable[Path]) -> tuple[str, ...] | None:
    """Return the names of the subfolders if all images are in two or more of them, else None."""
    parts = [path.relative_to(folder).parts for path in files]
    names = sorted({part[0] for part in parts if len(part) > 1})
    return tuple(names) if len(names) > 1 and all(len(part) > 1 for part in parts) else None


def _read(
    folder: Path, files: list[Path], classes: tuple[str, ...] | None, spec: ModelSpec
) -> tuple[Images, list[str]]:
    """Return the usable images, and a message about each file that is skipped."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without holding the GIL
        results = list(pool.map(lambda path: _prepared(path, spec), files))
    pairs = list(zip(files, results, strict=True))
    skipped = [f"{path}: {reason}" for path, reason in pairs if isinstance(reason, str)]
    usable = [(path, pixels) for path, pixels in pairs if not isinstance(pixels, str)]
    if not usable:
        example = f"; {len(skipped)} were skipped, such as {skipped[0]}" if skipped else ""
        raise DataNotFoundError(f"no usable images in {folder}{example}")
    labels = None
    if classes is not None:
        index = {name: label for label, name in enumerate(classes)}
        labels = torch.tensor([index[path.relative_to(folder).parts[0]] for path, _ in usable])
    return Images(torch.from_numpy(np.stack([pixels for _, pixels in usable])), labels), skipped


def _prepared(path: Path, spec: ModelSpec) -> Bytes | str:
    """Return an image in the form that the model takes, or the reason why it cannot be used.

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


def _skipped_notices(skipped: list[str], files: int) -> tuple[str, ...]:
    if not skipped:
        return ()
    more = [f"  and {len(skipped) - MAX_LISTED} more"] if len(skipped) > MAX_LISTED else []
    lines = [f"  {line}" for line in skipped[:MAX_LISTED]]
    return (f"{len(skipped)} of {files} files are skipped:", *lines, *more)
