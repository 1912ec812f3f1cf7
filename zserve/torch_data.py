"""Samples of a model as a data set of PyTorch."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from app import operations
from app.sampling.latents import consecutive_seeds
from model_store.preprocessing import from_bytes
from zserve.vae import VAE


class SampledImages(Dataset[tuple[Tensor, int]]):
    """n samples of a model: (image, target), computed when they are asked for.

    An image is float32 in [0, 1], (channels, height, width). Item i is that of
    `vae.sample(1, seed=seed + i, label=labels[i % len(labels)])`, in whatever order and by however
    many workers of a DataLoader it is read. Its target is the index of the class in `vae.classes`, or
    -1 without labels. A worker that is not forked loads the version again.

    Args:
        vae: the model.
        n: number of images.
        seed: seed of item 0.
        labels: classes, in turn; None samples the prior.
        temperature: factor on the latents, or on the spread within a class.
    """

    def __init__(
        self,
        vae: VAE,
        n: int,
        *,
        seed: int = 0,
        labels: Sequence[str] | None = None,
        temperature: float = 1.0,
    ) -> None:
        if n < 0:
            raise ValueError(f"n is {n}; a data set has 0 or more images")
        if labels is not None and not labels:
            raise ValueError("labels are empty; leave them out to sample the prior")
        self._vae, self._n, self._temperature = vae, n, temperature
        self._seeds = consecutive_seeds(seed, n)
        model = vae.model
        self._targets = [operations.find_class(str(label), model) for label in labels or ()]

    def __len__(self) -> int:
        """Return the number of images."""
        return self._n

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image and its target."""
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, int]]:
        """Return several images and their targets, which are computed together."""
        rows = [self._row(index) for index in indices]
        targets = [self._target(row) for row in rows]
        images: dict[int, Tensor] = {}
        for target in sorted(set(targets)):
            places = [i for i, each in enumerate(targets) if each == target]
            drawn = self._draw(np.array([rows[i] for i in places]), target)
            images |= dict(zip(places, drawn, strict=True))
        return [(images[i], target) for i, target in enumerate(targets)]

    def _draw(self, rows: NDArray[np.int64], target: int) -> Tensor:
        """Draw and decode the images of one class, or of none; (rows, channels, height, width)."""
        vae, label = self._vae, None if target < 0 else target
        z = vae._draw(self._seeds[rows], label, self._temperature)  # noqa: SLF001 - same package
        return torch.from_numpy(from_bytes(vae._decode(z)))  # noqa: SLF001 - the same package

    def _row(self, index: int) -> int:
        if not -self._n <= index < self._n:
            raise IndexError(f"there is no image {index}; the data set has {self._n}")
        return index % self._n

    def _target(self, row: int) -> int:
        return self._targets[row % len(self._targets)] if self._targets else -1
