"""Latents of test images, for a picture of where a model puts its data. Needs only numpy.

    levels   (images, latent)   int8      mu of q(z | x) in the space of u ~ N(0, I), divided by scale
    scale    (latent,)          float32   unit of each dimension's levels
    indices  (images,)          int32     place of each image in the test split, ascending
    labels   (images,)          int16     index of its class; missing if the data set has no labels

A level is rounded to the nearest integer in -127..127, so a latent is off by at most 1/254 of the
largest absolute value of its dimension. Without a flow, z and u are the same. The file holds no image
of the data set, and no reconstruction: the decoder makes these from the latents.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_store.errors import CorruptVersionError, NonFiniteError

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
Levels = NDArray[np.int8]

MAX_IMAGES = 2000
"""Largest number of images of a version."""
MAX_BYTES = 150_000
"""Largest encoded_images.safetensors that is read; 2,000 images with 32 dimensions have 76 kB."""
HIGHEST_LEVEL = 127
MAX_SCALE = 1e6
"""Largest scale; latents of N(0, I) need less than 1."""

_OTHER_BYTES = 1000
"""Upper bound of the size of the file's header."""
_IMAGE_BYTES = 6
"""Bytes of index and label of an image."""


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Latents of some test images; read-only arrays, see the head of this module.

    Raises ValueError if they do not fit one another.
    """

    levels: Levels
    scale: Floats
    indices: NDArray[np.int32]
    labels: NDArray[np.int16] | None = None

    def __post_init__(self) -> None:
        if self.levels.ndim != 2 or not 1 <= len(self.levels) <= MAX_IMAGES:
            raise ValueError(
                f"levels are {self.levels.shape}, expected 1 to {MAX_IMAGES:,} images in rows"
            )
        images, latent = self.levels.shape
        _check("levels", self.levels, (images, latent), np.int8)
        _check("scale", self.scale, (latent,), np.float32)
        _check("indices", self.indices, (images,), np.int32)
        if self.labels is not None:
            _check("labels", self.labels, (images,), np.int16)
            if self.labels.min() < 0:
                raise ValueError("a label is below 0")
        if self.levels.min(initial=0) < -HIGHEST_LEVEL:
            raise ValueError(f"a level is below -{HIGHEST_LEVEL}")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("a scale is not a positive number")
        if self.scale.max(initial=0) > MAX_SCALE:
            raise ValueError(f"a scale is above {MAX_SCALE:g}")
        if self.indices[0] < 0 or (np.diff(self.indices.astype(np.int64)) <= 0).any():
            raise ValueError("indices are not ascending from 0")
        for array in to_arrays(self).values():
            array.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.levels)

    @property
    def latent(self) -> int:
        """Return the number of latent dimensions."""
        return int(self.levels.shape[1])

    @property
    def u(self) -> Floats:
        """Return the latents in the space of N(0, I), (images, latent)."""
        return self.levels * self.scale


def affordable_images(latent: int) -> int:
    """Return how many images with this many dimensions fit into a file; at least 1."""
    left = MAX_BYTES - _OTHER_BYTES - 4 * latent
    return max(1, min(MAX_IMAGES, left // (latent + _IMAGE_BYTES)))


def round_latents(
    u: Floats, indices: NDArray[np.int32], labels: NDArray[np.int16] | None
) -> EncodedImages:
    """Round latents u (images, latent) to levels; raises NonFiniteError."""
    if not np.isfinite(u).all():
        raise NonFiniteError(
            "the latents of test images hold values that are NaN or infinite; retrain the model"
        )
    largest = np.abs(u).max(axis=0)
    scale = np.where(largest > 0, largest / HIGHEST_LEVEL, 1.0).astype(np.float32)
    levels = np.rint(u / scale).clip(-HIGHEST_LEVEL, HIGHEST_LEVEL).astype(np.int8)
    return EncodedImages(levels, scale, indices, labels)


def to_arrays(encoded: EncodedImages) -> dict[str, Array]:
    """Return the arrays that the store keeps."""
    arrays: dict[str, Array] = {
        "levels": encoded.levels,
        "scale": encoded.scale,
        "indices": encoded.indices,
    }
    if encoded.labels is not None:
        arrays["labels"] = encoded.labels
    return arrays


def from_arrays(arrays: Mapping[str, Array]) -> EncodedImages:
    """Check the arrays that the store keeps; raises ValueError if they do not fit."""
    if arrays.keys() - {"labels"} != {"levels", "scale", "indices"}:
        raise ValueError(
            f"expected levels, scale and indices, found {', '.join(sorted(arrays)) or 'nothing'}"
        )
    return EncodedImages(**arrays)  # type: ignore[arg-type]  # __post_init__ checks the types


def check_size(content: bytes) -> None:
    """Raise CorruptVersionError if a file is larger than MAX_BYTES."""
    if len(content) > MAX_BYTES:
        raise CorruptVersionError(f"it has {len(content)} bytes, at most {MAX_BYTES} are read")


def _check(name: str, array: Array, shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        expected = f"{shape} {np.dtype(dtype)}"
        raise ValueError(f"{name} are {array.shape} {array.dtype}, expected {expected}")
