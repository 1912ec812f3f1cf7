"""Images that a model has not learnt, to measure whether it notices: in the form that the model takes.

Other data sets are measured if they are in the data folder: the built-in ones, and the letters that
`python -m training data glyphs` renders.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model_store.errors import ImageError
from model_store.preprocessing import DecodedImage, from_pillow, prepare, to_bytes
from model_store.spec import ModelSpec
from training.data import idx
from training.data.images import Images, Splits
from training.errors import DataError, DataNotFoundError

Bytes = NDArray[np.uint8]

MOST_IMAGES = 1000
"""Largest number of images of a kind."""
NOISE_IMAGES = 300
CONSTANT_IMAGES = 64
BUILT_IN = {"digits": ("mnist", "MNIST"), "garments": ("fashion-mnist", "Fashion-MNIST")}
"""Kind of images -> data set, and its title."""
LETTERS = "glyphs"
"""Folder of rendered letters in the data folder."""
_SEED = 0


def kinds(splits: Splits, spec: ModelSpec) -> Iterator[tuple[str, Images, str]]:
    """Yield the name, the images and a description of each kind that can be measured."""
    for kind, (dataset, title) in BUILT_IN.items():
        images = None if splits.title == title else _built_in(dataset, splits.data_dir, spec)
        if images is not None:
            yield kind, images, f"test images of {title}"
    letters = None if splits.title == LETTERS else _letters(splits.data_dir, spec)
    if letters is not None:
        yield "letters", letters, f"test images of the letters in {LETTERS}/, digits left out"
    generator = np.random.default_rng(_SEED)
    noise = generator.integers(0, 256, (NOISE_IMAGES, *spec.image.shape), np.uint8)
    yield "noise", _images(noise), f"images of uniform noise, numpy seed {_SEED}"
    levels = np.linspace(0, 255, CONSTANT_IMAGES).astype(np.uint8).reshape(-1, 1, 1, 1)
    constant = np.broadcast_to(levels, (CONSTANT_IMAGES, *spec.image.shape))
    yield "constant", _images(constant), "images of one grey level each"
    yield from _turned(splits)


def every_nth(images: Images, most: int) -> Images:
    """Return at most this many images, evenly spaced."""
    return Images(images.pixels[:: max(1, -(-len(images) // most))])


def _turned(splits: Splits) -> Iterator[tuple[str, Images, str]]:
    """Yield the test images themselves, mirrored and turned."""
    pixels = every_nth(splits.test, MOST_IMAGES).pixels
    own = f"test images of {splits.title}"
    yield "mirrored", Images(pixels.flip(3)), f"{own}, left and right exchanged"
    yield "upside down", Images(pixels.flip(2)), f"{own}, top and bottom exchanged"
    if pixels.shape[2] == pixels.shape[3]:
        yield "turned", Images(pixels.rot90(1, (2, 3))), f"{own}, turned by 90 degrees"


def _built_in(dataset: str, data_dir: Path | None, spec: ModelSpec) -> Images | None:
    if data_dir is None:
        return None
    try:
        images = every_nth(idx.load_test(dataset, data_dir), MOST_IMAGES)
    except (DataError, DataNotFoundError):
        return None
    if tuple(images.pixels.shape[1:]) == spec.image.shape:
        return images
    return _prepared([DecodedImage(pixels[0].numpy()) for pixels in images.pixels], spec)


def _letters(data_dir: Path | None, spec: ModelSpec) -> Images | None:
    """Return letters of the rendered data set, or None if it is missing."""
    folder = None if data_dir is None else data_dir / LETTERS / "test"
    if folder is None or not folder.is_dir():
        return None
    paths = sorted(path for path in folder.glob("*/*.png") if not path.parent.name.isdigit())
    decoded = []
    for path in paths[:: max(1, -(-len(paths) // MOST_IMAGES))]:
        with suppress(OSError), Image.open(path) as opened:
            decoded.append(from_pillow(opened))
    return _prepared(decoded, spec)


def _prepared(decoded: Sequence[DecodedImage], spec: ModelSpec) -> Images | None:
    """Prepare images as uploads are; those that cannot be prepared are left out."""
    prepared = []
    for image in decoded:
        with suppress(ImageError):
            prepared.append(to_bytes(prepare(image, spec)))
    return _images(np.stack(prepared)) if prepared else None


def _images(pixels: Bytes) -> Images:
    return Images(torch.from_numpy(np.ascontiguousarray(pixels)))
