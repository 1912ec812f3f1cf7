"""Batches of augmented images, to train another network on."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from app.sampling.latents import SEEDS
from app.typing import Floats
from model_store.preprocessing import from_bytes
from zserve.vae import VAE

_ENCODED_AT_ONCE = 1024
"""Images that are encoded at a time, which bounds the memory."""


class AugmentedBatches:
    """An iterable of (images, targets): each image is replaced by a draw of its posterior.

    Images are float32 in [0, 1], (batch, channels, height, width), as torch takes them
    (`torch.from_numpy`). Each iteration is an epoch: every image once, in another order, as another
    variant. The images are encoded once, when the object is made.

    Variants are repeatable: image i in epoch e is variant 0 of `vae.augment(x[i], seed=s)` with
    s = seed + e * len(x) + i. The epoch is counted by the object; `epoch` sets it, for a training that
    is resumed.

    Args:
        vae: the model that draws.
        x: images of the model's size; see `VAE.encode`.
        targets: one value for each image, which is passed on; without them, batches have only images.
        batch_size: images in a batch; the last one of an epoch may have fewer.
        seed: seed of the variants and of the order.
        temperature: factor on sigma; 0 gives reconstructions.
        shuffle: False keeps the order of x.
    """

    def __init__(
        self,
        vae: VAE,
        x: ArrayLike,
        targets: ArrayLike | None = None,
        *,
        batch_size: int = 64,
        seed: int = 0,
        temperature: float = 1.0,
        shuffle: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        self.epoch = 0
        self._vae, self._batch_size, self._seed = vae, batch_size, seed
        self._temperature, self._shuffle = temperature, shuffle
        self._mu, self._logvar = _posteriors(vae, x)
        self._targets = None if targets is None else np.asarray(targets)
        if self._targets is not None and len(self._targets) != len(self._mu):
            raise ValueError(f"{len(self._mu)} images have {len(self._targets)} targets")

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(len(self._mu) / self._batch_size)

    def __iter__(self) -> Iterator[tuple[NDArray[Any], ...]]:
        """Yield the batches of the next epoch."""
        epoch, self.epoch = self.epoch, self.epoch + 1
        n = len(self._mu)
        order = np.arange(n)
        if self._shuffle:
            np.random.default_rng((self._seed, epoch)).shuffle(order)
        for start in range(0, n, self._batch_size):
            rows = order[start : start + self._batch_size]
            images = self._draw(rows, self._seed + epoch * n)
            yield (images,) if self._targets is None else (images, self._targets[rows])

    def _draw(self, rows: NDArray[np.int64], first: int) -> Floats:
        """Draw one variant of each of some images; the seed of image i is `first + i`."""
        seeds = ((rows.astype(np.uint64) + np.uint64(first % SEEDS)) % np.uint64(SEEDS)).astype(
            np.uint64
        )
        z = self._vae._variants(  # noqa: SLF001 - the same package
            self._mu[rows], self._logvar[rows], seeds, self._temperature
        )
        return from_bytes(self._vae._decode(z))  # noqa: SLF001 - the same package


def _posteriors(vae: VAE, x: ArrayLike) -> tuple[Floats, Floats]:
    """Return mu and logvar of all images, before a flow; both (images, latent)."""
    images = vae._images(x)  # noqa: SLF001 - the same package
    parts = [
        vae._posterior(images[start : start + _ENCODED_AT_ONCE])  # noqa: SLF001 - the same package
        for start in range(0, len(images), _ENCODED_AT_ONCE)
    ]
    if not parts:
        raise ValueError("there are no images to augment")
    return np.concatenate([mu for mu, _ in parts]), np.concatenate([each for _, each in parts])
