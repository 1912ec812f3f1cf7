"""The training loop: values in, progress out; it neither reads, writes nor prints.

What makes it fast, measured with `python -m benchmarks.training`: images in memory as bytes,
shuffled once an epoch, fused Adam, and statistics that stay tensors until someone looks.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from model_store.spec import ModelSpec
from model_store.vae import VAE, kl_between
from training.config import Compute, Objective, Optimiser
from training.data.loading import Images, as_floats
from training.errors import NonFiniteLossError
from training.fitting.augmentation import moved, some_moved
from training.fitting.ema import Average
from training.fitting.latent_standardisation import centre
from training.fitting.objective import (
    Terms,
    binarize,
    binarize_half,
    bound,
    several_draws,
    single_draw,
)
from training.fitting.schedule import beta_at, learning_rate_at

REPORT_EVERY = 32
"""Batches between two reports: looking at a tensor makes a GPU wait."""


@dataclass(frozen=True)
class Averages:
    """Means over the images seen, in nats; `reconstruction` is -ln p(x | z).

    `loss` is what was minimised, with beta and free bits as they were; of the test split it is
    always that of the full beta, so that epochs compare.
    """

    loss: float
    reconstruction: float
    kl: float

    @classmethod
    def of(cls, sums: Tensor, images: int) -> Self:
        """From the sums of loss, log_px and kl over so many images; (3,)."""
        loss, log_px, kl = (sums / images).tolist()
        return cls(loss=loss, reconstruction=-log_px, kl=kl)


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
    beta: float = 1.0
    """After the epoch, as is the learning rate."""
    learning_rate: float = 0.0


def initialise(spec: ModelSpec, seed: int) -> VAE:
    """A fresh VAE with PyTorch's default initialisation, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(spec)


class Trainer:
    """Everything that changes while training: weights, moments, random states, steps behind."""

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        optimiser: Optimiser,
        seed: int,
        compute: Compute | None = None,
    ) -> None:
        self.vae = vae
        self.device = next(vae.parameters()).device
        self.objective = objective
        self.optimiser = optimiser
        self.seed = seed
        self.adam = _adam(vae, optimiser)
        self.average = Average(vae, optimiser.average) if optimiser.average else None
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed)
        self.epochs = 0
        self.steps = 0
        compute = compute or Compute()
        on_gpu = self.device.type == "cuda"
        self.autocast = torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=compute.bf16)
        compiles = on_gpu and compute.compile
        self.single_draw = torch.compile(single_draw) if compiles else single_draw
        self.several_draws = torch.compile(several_draws) if compiles else several_draws

    @property
    def trained(self) -> VAE:
        """What is measured and published: the averaged weights where there are such."""
        return self.average.vae if self.average else self.vae

    def fit(self, train: Images, test: Images) -> Iterator[Progress | EpochDone]:
        """Train the epochs that are left, the VAE in place; images and VAE lie on one device.

        The order of the images and the noise follow from the seed. Raises NonFiniteLossError.
        """
        for epoch in range(self.epochs + 1, self.optimiser.epochs + 1):
            for progress in self.epoch(train, epoch):
                yield progress
            if self.average:
                self.average.measure_batch_norm(train, self.seed)
            if self.objective.centred and epoch == self.optimiser.epochs:
                centre(self.trained, train)
            noise = torch.Generator(self.device).manual_seed(self.seed)
            averages = mean_bound(self.trained, test, self.objective, noise)
            _check_that_it_is_finite(averages, epoch)
            self.epochs = epoch
            yield EpochDone(
                epoch,
                progress.averages,
                averages,
                progress.images_per_s,
                self.beta(len(train)),
                self.learning_rate(len(train)),
            )

    def epoch(self, train: Images, epoch: int = 1) -> Iterator[Progress]:
        """One pass over the images; the last report covers all of them."""
        self.vae.train()
        self._choose_what_learns(epoch)
        started = time.perf_counter()
        sums = torch.zeros(3, device=self.device)
        order = torch.randperm(len(train), generator=self.order)
        shuffled = train.pixels[order.to(self.device)]  # once: a batch is then a view
        batches = torch.split(shuffled, self.optimiser.batch_size)
        images = 0
        for number, pixels in enumerate(batches, start=1):
            epochs = self._epochs_behind(len(train))
            self.adam.param_groups[0]["lr"] = learning_rate_at(self.optimiser, epochs)
            sums += self.step(as_floats(pixels), epochs) * len(pixels)
            images += len(pixels)
            if number % REPORT_EVERY == 0 or number == len(batches):
                averages = Averages.of(sums, images)
                _check_that_it_is_finite(averages, epoch)
                elapsed_s = time.perf_counter() - started
                yield Progress(epoch, images, averages, images / elapsed_s)

    def _choose_what_learns(self, epoch: int) -> None:
        prior_alone = epoch <= self.objective.prior_alone_epochs
        for name, weight in self.vae.named_parameters():
            weight.requires_grad_(not prior_alone or name.startswith("flow."))

    def step(self, x: Tensor, epochs: float) -> Tensor:
        """One step of Adam on a batch, so many epochs being behind.

        Mean loss, log_px and kl before it; (3,).
        """
        objective = self.objective
        moving = epochs < objective.moved_until_epochs
        twice = moving and objective.consistency > 0
        if twice:
            x = torch.cat([x, moved(x, objective.augmentation, self.noise)])
        elif moving and objective.moved_share:
            x = some_moved(x, objective.moved_share, objective.augmentation, self.noise)
        x = as_targets(x, objective, self.noise)
        with self.autocast:
            terms = self._terms(x, epochs)
            loss = terms.surrogate.mean()
            if twice:
                loss = loss + objective.consistency * _inconsistency(terms).mean()
        self.adam.zero_grad()
        torch.autograd.backward(loss)
        if self.optimiser.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.vae.parameters(), self.optimiser.clip_norm)
        self.adam.step()
        self.steps += 1
        if self.average:
            self.average.update(self.steps)
        return torch.stack([part.detach().mean() for part in (terms.loss, terms.log_px, terms.kl)])

    def _terms(self, x: Tensor, epochs: float) -> Terms:
        objective, beta = self.objective, beta_at(self.objective, epochs)
        k = objective.importance_samples if epochs >= objective.importance_after_epochs else 1
        eps = torch.randn(
            (k, len(x), self.vae.spec.latent), generator=self.noise, device=self.device
        )
        if k == 1 and not objective.doubly_reparameterised:
            return self.single_draw(self.vae, x, eps[0], beta, objective.free_bits)
        return self.several_draws(
            self.vae, x, eps, beta, doubly_reparameterised=objective.doubly_reparameterised
        )

    def beta(self, images: int) -> float:
        """Beta of the next step, where an epoch has so many images."""
        return beta_at(self.objective, self._epochs_behind(images))

    def learning_rate(self, images: int) -> float:
        """Learning rate of the next step, where an epoch has so many images."""
        return learning_rate_at(self.optimiser, self._epochs_behind(images))

    def _epochs_behind(self, images: int) -> float:
        return self.steps / math.ceil(images / self.optimiser.batch_size)

    # --- between two processes ---

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on, as tensors that lie on the CPU."""
        tensors = {f"vae.{name}": value for name, value in self.vae.state_dict().items()}
        if self.average:
            averaged = self.average.vae.state_dict()
            tensors |= {f"average.{name}": value for name, value in averaged.items()}
        for number, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        tensors["random.order"] = self.order.get_state()
        tensors["random.noise"] = self.noise.get_state()
        tensors["progress"] = torch.tensor([self.epochs, self.steps])
        return {name: value.detach().cpu().clone() for name, value in tensors.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from the state of a trainer of the same settings; raises KeyError, RuntimeError."""
        self.vae.load_state_dict(_below("vae.", tensors))
        if self.average:
            self.average.vae.load_state_dict(_below("average.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("adam.", tensors).items():
            number, _, moment = name.partition(".")
            moments.setdefault(int(number), {})[moment] = value
        self.adam.load_state_dict({**self.adam.state_dict(), "state": moments})
        self.order.set_state(tensors["random.order"])
        self.noise.set_state(tensors["random.noise"])
        self.epochs, self.steps = tensors["progress"].tolist()


def _adam(vae: VAE, optimiser: Optimiser) -> torch.optim.Optimizer:
    """`fused`: one kernel for all tensors instead of several for each."""
    if optimiser.name == "adam":
        return torch.optim.Adam(vae.parameters(), lr=optimiser.learning_rate, fused=True)
    return torch.optim.AdamW(
        vae.parameters(),
        lr=optimiser.learning_rate,
        weight_decay=optimiser.weight_decay,
        fused=True,
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those whose names begin with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


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
    """The loss with the full beta and its parts over all images, one draw of z each."""
    vae.eval()
    device = images.pixels.device
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    for index in batch_indices(len(images), batch_size):
        x = images.batch(index.to(device))
        x = as_targets(x, objective, noise)
        eps = torch.randn((len(x), vae.spec.latent), generator=noise, device=device)
        parts = bound(vae, x, eps)
        loss = parts.loss(objective.beta)
        sums += torch.stack((loss.sum(), parts.log_px.sum(), parts.kl.sum()))
    return Averages.of(sums, len(images))


def as_targets(x: Tensor, objective: Objective, noise: torch.Generator) -> Tensor:
    """Grey images as the objective wants them learnt; (batch, channels, height, width) -> same."""
    match objective.targets:
        case "grey":
            return x
        case "binary":
            return binarize(x, noise)
        case "mixed":
            return binarize_half(x, noise)


def _inconsistency(terms: Terms) -> Tensor:
    """KL(q(z | moved x) || q(z | x)), the first half of a batch being x; (batch / 2,), nats.

    Sinha & Dieng 2021, "Consistency regularization for variational auto-encoders", eq. 5.
    """
    (mu, moved_mu), (logvar, moved_logvar) = terms.mu.chunk(2), terms.logvar.chunk(2)
    return kl_between(moved_mu, moved_logvar, mu, logvar)


def _check_that_it_is_finite(averages: Averages, epoch: int) -> None:
    if not math.isfinite(averages.loss):
        raise NonFiniteLossError(
            f"the loss is {averages.loss} in epoch {epoch}; lower optimiser.learning_rate"
        )
