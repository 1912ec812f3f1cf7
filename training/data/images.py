"""A data set in memory: the images of a split, and both splits with their class names."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from training.errors import DataError

UNBATCHED_VALUES = 3 * 32 * 32
"""Largest number of values of one image that is computed in batches of the full size."""


@dataclass(frozen=True)
class Images:
    """One split: pixels (images, channels, height, width), uint8 as in the files.

    Bytes instead of floats in [0, 1] take a quarter of the memory, and converting one batch costs
    less than gathering four times as many bytes.
    """

    pixels: Tensor
    labels: Tensor | None = None
    """(images,) int64, indices into `Splits.classes`; None if the data set has no labels."""
    attributes: Mapping[str, Tensor] = field(default_factory=dict)
    """Attribute, such as the weight of a letter -> its value for each image; (images,) float32 on the
    CPU, NaN if unknown."""

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, index: Tensor) -> Tensor:
        """Return the images at these indices, float32 in [0, 1] as ToTensor gives them."""
        return as_floats(self.pixels.index_select(0, index))

    def to(self, device: torch.device) -> "Images":
        """Return a copy on another device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Images(self.pixels.to(device), labels, self.attributes)

    def first(self, images: int | None) -> "Images":
        """Return the first `images` images, or all of them if None."""
        return self._at(slice(images))

    def without_first(self, images: int) -> "Images":
        """Return all but the first `images` images."""
        return self._at(slice(images, None))

    def every(self, step: int) -> "Images":
        """Return the images 0, `step`, 2 `step` and so on."""
        return self._at(slice(None, None, step))

    def shuffled(self, seed: int) -> "Images":
        """Return the images in a random order that follows from the seed."""
        return self._at(torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)))

    def _at(self, index: slice | Tensor) -> "Images":
        """Return the images at these places."""
        return Images(
            self.pixels[index],
            None if self.labels is None else self.labels[index],
            {name: values[index] for name, values in self.attributes.items()},
        )

    def require_labels(self) -> Tensor:
        """Return the labels on the CPU; raises DataError if there are none."""
        if self.labels is None:
            raise DataError("these images have no labels, which are needed here")
        return self.labels.cpu()


@dataclass(frozen=True)
class Splits:
    """A data set: the images to train on and the images to measure on."""

    title: str
    train: Images
    test: Images
    classes: tuple[str, ...] | None = None
    """Names of the labels 0, 1, ...; None if the data set has no labels."""
    notices: tuple[str, ...] = ()
    """Messages for the user about reading the data, such as a list of skipped files."""
    data_dir: Path | None = None
    """Folder in which other data sets are looked for, to compare with this one; None for none."""


def as_floats(pixels: Tensor) -> Tensor:
    """Convert bytes to float32 in [0, 1], as ToTensor does."""
    return pixels.float().div_(255)


def affordable_batch(most: int, pixels: int) -> int:
    """Return how many images of `pixels` values to compute at a time; at least 1, at most `most`.

    Larger images than those of 32x32 in colour are computed in smaller batches, so that measuring
    them takes no more memory.
    """
    return max(1, min(most, most * UNBATCHED_VALUES // pixels))


def batch_indices(images: int, batch_size: int) -> tuple[Tensor, ...]:
    """Split the indices of all images into batches."""
    return torch.split(torch.arange(images), batch_size)


def sha256(splits: Splits) -> str:
    """Return the SHA-256 of the pixels of both splits, in their order."""
    digest = hashlib.sha256()
    for images in (splits.train, splits.test):
        digest.update(str(tuple(images.pixels.shape)).encode())
        digest.update(memoryview(images.pixels.contiguous().numpy()))  # type: ignore[arg-type]
    return digest.hexdigest()
