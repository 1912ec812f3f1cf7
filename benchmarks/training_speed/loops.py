"""The training loops that are compared in this process: each function returns one epoch."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision.datasets import MNIST, VisionDataset  # type: ignore[import-untyped]
from torchvision.transforms import ToTensor  # type: ignore[import-untyped]

from model_store.spec import MLP
from training.config import Compute, Preset
from training.data.images import Images
from training.devices import matmul_precision
from training.fitting.trainer import Trainer, initialise

Epoch = Callable[[], None]


class InMemoryMNIST(MNIST):  # type: ignore[misc]
    """torchvision's MNIST with given pixels: a Pillow image and ToTensor for each item."""

    def __init__(self, pixels: Tensor) -> None:
        VisionDataset.__init__(self, root="", transform=ToTensor())
        self.data = pixels[:, 0]
        self.targets = torch.zeros(len(pixels), dtype=torch.int64)


def textbook_loop(preset: Preset, pixels: Tensor, workers: int = 0) -> Epoch:
    """Return the loop of tutorials: DataLoader with ToTensor, default Adam, `.item()` per batch."""
    vae = initialise(preset.model, seed=0)
    adam = torch.optim.Adam(vae.parameters(), lr=preset.optimiser.learning_rate)
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        InMemoryMNIST(pixels),
        batch_size=preset.optimiser.batch_size,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )

    def epoch() -> None:
        total = 0.0
        for x, _ in loader:
            mu, logvar = vae.encode(x)
            x_logits = vae.decode(mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
            bce = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum")
            kl = -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()
            loss = (bce + kl) / len(x)
            adam.zero_grad()
            torch.autograd.backward(loss)
            adam.step()
            total += loss.item()

    return epoch


def zserve_loop(preset: Preset, pixels: Tensor, *, bf16: bool = False) -> Epoch:
    """Return the loop of `python -m training train`, including its progress reports."""
    compute = Compute(bf16=bf16)
    trainer = Trainer(
        initialise(preset.model, seed=0), preset.objective, preset.optimiser, 0, compute
    )
    images = Images(pixels)

    def epoch() -> None:
        for _ in trainer.epoch(images):
            pass

    return epoch


def matrix_products(preset: Preset, pixels: Tensor) -> Epoch:
    """Return only the matrix products of an MLP, forward and backward."""
    batch = preset.optimiser.batch_size
    layers = [
        (torch.randn(batch, n_in), torch.randn(n_out, n_in), torch.randn(batch, n_out))
        for n_in, n_out in layer_sizes(preset)
    ]

    def epoch() -> None:
        for _ in range(len(pixels) // batch):
            for number, (x, weight, gradient) in enumerate(layers):
                _ = x @ weight.T
                _ = gradient.T @ x
                if number > 0:  # the gradient with respect to the images is not needed
                    _ = gradient @ weight

    return epoch


def with_precision(precision: str, epoch: Epoch) -> Epoch:
    """Return the epoch with `compute.matmul` set to `precision`."""

    def epoch_with_precision() -> None:
        with matmul_precision(precision):
            epoch()

    return epoch_with_precision


def layer_sizes(preset: Preset) -> Iterator[tuple[int, int]]:
    """Yield (inputs, outputs) of the linear layers; mu and logvar are two layers on one input."""
    if not isinstance(preset.model.network, MLP):
        raise TypeError("only the matrix products of an MLP can be counted")
    pixels, latent = preset.model.image.pixels, preset.model.latent
    hidden = preset.model.network.hidden
    yield from pairwise((pixels, *hidden))
    yield from ((hidden[-1], latent),) * 2
    yield from pairwise((latent, *reversed(hidden), pixels))
