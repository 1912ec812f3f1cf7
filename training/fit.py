"""The training loop: values in, progress out; it neither reads, writes nor prints.

What makes it fast, measured on two cores with `python -m benchmarks.training`: images in memory
and gathered a batch at a time, fused Adam, and statistics that stay tensors until someone looks.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from model_store import VAE, ModelSpec
from training.config import Objective, Optimiser
from training.data import Images
from training.errors import NonFiniteLossError
from training.objective import Bound, bound

REPORT_EVERY = 32
"""Batches between two reports: looking at a tensor makes a GPU wait."""


@dataclass(frozen=True)
class Averages:
    """Means over the images seen, in nats; `reconstruction` is -ln p(x | z)."""

    loss: float
    reconstruction: float
    kl: float

    @classmethod
    def of(cls, log_px_and_kl: Tensor, images: int, beta: float) -> Self:
        """From the sums over so many images; (2,)."""
        log_px, kl = (log_px_and_kl / images).tolist()
        return cls(loss=-(log_px - beta * kl), reconstruction=-log_px, kl=kl)


@dataclass(frozen=True)
class Progress:
    """Where an epoch stands: the averages over its images so far."""

    epoch: int
    images: int
    averages: Averages
    images_per_s: float


@dataclass(frozen=True)
class EpochDone:
    """One line of the loss curve."""

    epoch: int
    train: Averages
    test: Averages
    images_per_s: float


def initialise(spec: ModelSpec, seed: int) -> VAE:
    """A fresh VAE with PyTorch's default initialisation, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(spec)


def fit(
    vae: VAE, train: Images, test: Images, objective: Objective, optimiser: Optimiser, seed: int
) -> Iterator[Progress | EpochDone]:
    """Train the VAE in place; images and VAE lie on one device.

    The order of the images and the noise follow from the seed. Raises NonFiniteLossError.
    """
    device = train.pixels.device
    order = torch.Generator().manual_seed(seed)
    noise = torch.Generator(device).manual_seed(seed)
    adam = build_adam(vae, optimiser)
    for epoch in range(1, optimiser.epochs + 1):
        batches = torch.randperm(len(train), generator=order).split(optimiser.batch_size)
        for progress in train_epoch(vae, train, batches, adam, objective, noise, epoch):
            yield progress
        averages = mean_bound(vae, test, objective, torch.Generator(device).manual_seed(seed))
        yield EpochDone(epoch, progress.averages, averages, progress.images_per_s)


def build_adam(vae: VAE, optimiser: Optimiser) -> torch.optim.Adam:
    """Adam over all weights, one kernel for all of them."""
    return torch.optim.Adam(vae.parameters(), lr=optimiser.learning_rate, fused=True)


def train_epoch(
    vae: VAE,
    train: Images,
    batches: tuple[Tensor, ...],
    adam: torch.optim.Adam,
    objective: Objective,
    noise: torch.Generator,
    epoch: int,
) -> Iterator[Progress]:
    """One pass over batches of indices; the last report covers the whole epoch."""
    vae.train()
    sums = torch.zeros(2, device=train.pixels.device)
    images, started = 0, time.perf_counter()
    for number, index in enumerate(batches, start=1):
        x = train.batch(index.to(sums.device))
        parts = step(vae, x, adam, objective.beta, noise)
        sums += torch.stack((parts.log_px.detach().sum(), parts.kl.detach().sum()))
        images += len(index)
        if number % REPORT_EVERY == 0 or number == len(batches):
            averages = Averages.of(sums, images, objective.beta)
            if not math.isfinite(averages.loss):
                raise NonFiniteLossError(
                    f"the loss is {averages.loss} in epoch {epoch}, after {images} images; "
                    "lower optimiser.learning_rate"
                )
            elapsed_s = time.perf_counter() - started
            yield Progress(epoch, images, averages, images / elapsed_s)


def step(
    vae: VAE, x: Tensor, adam: torch.optim.Adam, beta: float, noise: torch.Generator
) -> Bound:
    """One step of Adam on the mean loss of a batch; the bound before the step."""
    eps = torch.randn(len(x), vae.spec.latent, generator=noise, device=x.device)
    parts = bound(vae, x, eps)
    adam.zero_grad()
    parts.loss(beta).mean().backward()
    adam.step()
    return parts


@torch.no_grad()
def mean_bound(
    vae: VAE, images: Images, objective: Objective, noise: torch.Generator, batch_size: int = 1000
) -> Averages:
    """The loss and its parts over all images, one draw of z each."""
    vae.eval()
    device = images.pixels.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for index in torch.arange(len(images), device=device).split(batch_size):
        eps = torch.randn(len(index), vae.spec.latent, generator=noise, device=device)
        parts = bound(vae, images.batch(index), eps)
        sums += torch.stack((parts.log_px.sum(), parts.kl.sum()))
    return Averages.of(sums, len(images), objective.beta)
