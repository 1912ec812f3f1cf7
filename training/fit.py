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


class Trainer:
    """Everything that changes while training: weights, moments and random states."""

    def __init__(self, vae: VAE, objective: Objective, optimiser: Optimiser, seed: int) -> None:
        self.vae = vae
        self.device = next(vae.parameters()).device
        self.objective = objective
        self.optimiser = optimiser
        self.seed = seed
        # fused: one kernel for all tensors instead of several for each
        self.adam = torch.optim.Adam(vae.parameters(), lr=optimiser.learning_rate, fused=True)
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed)

    def fit(self, train: Images, test: Images) -> Iterator[Progress | EpochDone]:
        """Train for all epochs, the VAE in place; images and VAE lie on one device.

        The order of the images and the noise follow from the seed. Raises NonFiniteLossError.
        """
        for epoch in range(1, self.optimiser.epochs + 1):
            for progress in self.epoch(train, epoch):
                yield progress
            noise = torch.Generator(self.device).manual_seed(self.seed)
            averages = mean_bound(self.vae, test, self.objective, noise)
            _check_that_it_is_finite(averages, epoch)
            yield EpochDone(epoch, progress.averages, averages, progress.images_per_s)

    def epoch(self, train: Images, epoch: int = 1) -> Iterator[Progress]:
        """One pass over the images; the last report covers all of them."""
        self.vae.train()
        sums = torch.zeros(2, device=self.device)
        batches = batch_indices(len(train), self.optimiser.batch_size, self.order)
        images, started = 0, time.perf_counter()
        for number, index in enumerate(batches, start=1):
            parts = self.step(train.batch(index.to(self.device)))
            sums += torch.stack((parts.log_px.detach().sum(), parts.kl.detach().sum()))
            images += len(index)
            if number % REPORT_EVERY == 0 or number == len(batches):
                averages = Averages.of(sums, images, self.objective.beta)
                _check_that_it_is_finite(averages, epoch)
                elapsed_s = time.perf_counter() - started
                yield Progress(epoch, images, averages, images / elapsed_s)

    def step(self, x: Tensor) -> Bound:
        """One step of Adam on the mean loss of a batch; returns the bound before the step."""
        shape = (len(x), self.vae.spec.latent)
        eps = torch.randn(shape, generator=self.noise, device=self.device)
        parts = bound(self.vae, x, eps)
        self.adam.zero_grad()
        torch.autograd.backward(parts.loss(self.objective.beta).mean())
        self.adam.step()
        return parts


def batch_indices(
    images: int, batch_size: int, order: torch.Generator | None = None
) -> tuple[Tensor, ...]:
    """Indices of all images, in batches; shuffled where a generator is given."""
    index = torch.arange(images) if order is None else torch.randperm(images, generator=order)
    return torch.split(index, batch_size)


@torch.no_grad()
def mean_bound(
    vae: VAE, images: Images, objective: Objective, noise: torch.Generator, batch_size: int = 1000
) -> Averages:
    """The loss and its parts over all images, one draw of z each."""
    vae.eval()
    device = images.pixels.device
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    for index in batch_indices(len(images), batch_size):
        x = images.batch(index.to(device))
        eps = torch.randn((len(x), vae.spec.latent), generator=noise, device=device)
        parts = bound(vae, x, eps)
        sums += torch.stack((parts.log_px.sum(), parts.kl.sum()))
    return Averages.of(sums, len(images), objective.beta)


def _check_that_it_is_finite(averages: Averages, epoch: int) -> None:
    if not math.isfinite(averages.loss):
        raise NonFiniteLossError(
            f"the loss is {averages.loss} in epoch {epoch}; lower optimiser.learning_rate"
        )
