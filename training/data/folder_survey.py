"""Survey a folder of images before anything is read in full: how many, how large, which classes.

The sizes come from the headers of the files, colour and contrast from the pixels of some of them.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.folder_files import Files, find_classes, find_files, find_splits
from training.errors import DataNotFoundError

MAX_HEADERS = 1000
"""Number of files whose size is read, evenly spaced."""
MAX_DECODED = 60
"""Number of files whose pixels are read, evenly spaced."""
THUMBNAIL = 64
"""Longer side in pixels to which an image is reduced before its pixels are looked at."""
COLOURFUL_LEVELS = 24
"""Difference of two channels, of 255, from which a pixel counts as coloured."""
COLOURED_SHARE = 0.01
"""Share of coloured pixels from which a folder counts as one of colour images."""
EXTREME_LEVELS = 32
"""Distance from black or white, of 255, up to which a value counts as extreme."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Survey:
    """Numbers about a folder of images."""

    train: int
    """Number of image files to train on."""
    test: int
    """Number of image files to measure on."""
    width: int
    """Median width, pixels."""
    height: int
    """Median height, pixels."""
    colour: bool = True
    extremes: float = 0.0
    """Share of pixel values that are nearly black or nearly white."""
    classes: tuple[tuple[str, int], ...] | None = None
    """Name and number of training files of each class; None without classes."""
    held_out: bool = True
    """True if the test images are held out, False if the folder has two splits."""


def survey_folder(folder: Path, holdout: float) -> Survey:
    """Survey a folder; raises DataNotFoundError if it holds no two images that can be opened."""
    if not folder.is_dir():
        raise DataNotFoundError(f"no folder {folder}; give a folder of images")
    splits = find_splits(folder)
    train = find_files(splits.train if splits else folder)
    test = find_files(splits.test) if splits and splits.test else None
    held_out = 0 if test else max(1, round(holdout * len(train.images)))
    if len(train.images) - held_out < 1 or (test and not test.images):
        raise DataNotFoundError(
            f"{len(train.images)} images in {train.folder}"
            + (f" and {len(test.images)} in {test.folder}" if test else "")
            + "; at least one to train on and one to measure on are needed, and some hundreds for "
            "a model that makes new images"
        )
    width, height = _median_size(train)
    thumbnails = _thumbnails(train.images)
    if not thumbnails:
        raise DataNotFoundError(f"none of the images in {train.folder} can be opened")
    return Survey(
        train=len(train.images) - held_out,
        test=len(test.images) if test else held_out,
        width=width,
        height=height,
        colour=coloured_share(thumbnails) >= COLOURED_SHARE,
        extremes=extreme_share(thumbnails),
        classes=_classes(train, test, held_out),
        held_out=test is None,
    )


def coloured_share(images: Sequence[Bytes]) -> float:
    """Return the share of coloured pixels, mean over images (height, width, 3)."""
    spread = [image.max(axis=2).astype(int) - image.min(axis=2) for image in images]
    return float(np.mean([(s >= COLOURFUL_LEVELS).mean() for s in spread]))


def extreme_share(images: Sequence[Bytes]) -> float:
    """Return the share of values that are nearly black or white, mean over images."""
    extreme = [(i <= EXTREME_LEVELS) | (i >= 255 - EXTREME_LEVELS) for i in images]
    return float(np.mean([each.mean() for each in extreme]))


def _median_size(files: Files) -> tuple[int, int]:
    """Return the median width and height; raises DataNotFoundError if no file can be opened."""
    sizes = []
    for path in _evenly_spaced(files.images, MAX_HEADERS):
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
        except Exception:  # noqa: BLE001, S112 - reading the folder lists what cannot be opened
            continue
    if not sizes:
        raise DataNotFoundError(
            f"none of the {len(files.images)} images in {files.folder} can be opened"
        )
    widths, heights = zip(*sizes, strict=True)
    return int(median(widths)), int(median(heights))


def _thumbnails(paths: Sequence[Path]) -> list[Bytes]:
    """Read some images reduced, each (height, width, 3), transparent parts on white."""
    thumbnails = []
    for path in _evenly_spaced(paths, MAX_DECODED):
        try:
            with Image.open(path) as image:
                image.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))  # JPEG decodes to less
                image.thumbnail((THUMBNAIL, THUMBNAIL))
                drawn = image.convert("RGBA")
        except Exception:  # noqa: BLE001, S112 - reading the folder lists what cannot be opened
            continue
        white = Image.new("RGBA", drawn.size, "white")
        white.alpha_composite(drawn)
        thumbnails.append(np.asarray(white.convert("RGB"), np.uint8))
    return thumbnails


def _classes(train: Files, test: Files | None, held_out: int) -> tuple[tuple[str, int], ...] | None:
    """Return the names of the classes and their training files, as the reader finds them."""
    names = find_classes(train)
    if names is None or (test is not None and find_classes(test) is None):
        return None
    counts = Counter(path.relative_to(train.folder).parts[0] for path in train.images)
    kept = 1 - held_out / len(train.images)
    return tuple((name, round(counts[name] * kept)) for name in names)


def _evenly_spaced(paths: Sequence[Path], most: int) -> Sequence[Path]:
    return paths[:: -(-len(paths) // most)]
