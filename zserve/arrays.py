"""Images as arrays: the forms that people have, and the one that models take.

A model takes levels: (batch, channels, height, width), uint8 in 0..255. Results have the form of
Pillow and matplotlib: (..., height, width) if grey, (..., height, width, 3) if coloured, as in the npz
files of the service.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.imaging.decode import PixelLimits
from app.imaging.jobs import PrepareJob
from app.typing import Bytes, Upload
from model_store.preprocessing import to_bytes
from model_store.spec import ImageShape, ModelSpec

MAX_PIXELS = 50 * 1024 * 1024
"""Number of pixels of the largest image file that is read."""


def to_levels(images: ArrayLike, shape: ImageShape) -> Bytes:
    """Return images of a model's size as levels; (batch, channels, height, width).

    Args:
        images: uint8 in 0..255, or floats in [0, 1], which are rounded to 256 levels. One image or
            several, with or without the axis of channels, which may be before or after the pixels.
            Tensors of torch on the CPU are arrays too.
        shape: the size that the model takes.

    Raises:
        ValueError: the images have another size, or values outside of the range.
    """
    array = np.asarray(images)
    levels = _in_range(array)
    channels, height, width = shape.shape
    first, last = (channels, height, width), (height, width, channels)
    if levels.shape[-3:] == first and levels.ndim in {3, 4}:
        return levels.reshape(-1, *first)
    if levels.shape[-3:] == last and levels.ndim in {3, 4}:
        return np.ascontiguousarray(np.moveaxis(levels.reshape(-1, *last), -1, 1))
    if channels == 1 and levels.shape[-2:] == (height, width) and levels.ndim in {2, 3}:
        return levels.reshape(-1, *first)
    sizes = f"({height}, {width})" if channels == 1 else f"({height}, {width}, {channels})"
    raise ValueError(
        f"images have the shape {array.shape}; the model takes (batch, channels, height, width) = "
        f"(batch, {channels}, {height}, {width}), or {sizes} with or without a batch axis; "
        "VAE.prepare brings image files of any size to this form"
    )


def _in_range(array: NDArray[Any]) -> Bytes:
    """Return values in 0..255 as uint8; raises ValueError."""
    if array.dtype == np.uint8:
        return np.asarray(array, np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        raise ValueError(f"images are {array.dtype}; pass uint8 in 0..255, or floats in [0, 1]")
    if array.size and not (array.min() >= 0 and array.max() <= 1):  # NaN fails both
        raise ValueError(
            f"images have values from {array.min():g} to {array.max():g}; floats must be in [0, 1]"
        )
    return to_bytes(np.asarray(array, np.float32))


def prepare_files(
    files: list[str | Path | bytes], spec: ModelSpec, *, as_is: bool = False
) -> Bytes:
    """Bring image files to the form of a model's training images, as the service does with uploads.

    A file is a path or the content of a file. With `as_is`, files must have the model's size. Returns
    (files, channels, height, width) in 0..255. Raises UploadError, ImageError, OSError.
    """
    job = PrepareJob(
        spec=spec,
        preprocess="none" if as_is else "auto",
        limits=PixelLimits(MAX_PIXELS, MAX_PIXELS),
    )
    levels = [job.run([_upload(file)], lambda: False) for file in files]
    if not levels:
        return np.zeros((0, *spec.image.shape), np.uint8)
    return np.concatenate(levels)


def _upload(file: str | Path | bytes) -> Upload:
    if isinstance(file, bytes):
        return Upload("the image", file)
    return Upload(str(file), Path(file).read_bytes())
