"""The training loop: takes images, yields progress; it does not read, write or print.

Measured by the training-speed benchmark, it is fast because images stay in memory as bytes and are
shuffled once per epoch, Adam is fused, and statistics stay tensors between two reports.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from model_store.spec import ModelSpec
from model_store.vae import VAE, kl_between
from training.config import Compute, Objective, Optimiser
from training.data.augmentation import augment, augment_some
from training.data.images import Images, affordable_batch, as_floats, batch_indices
from training.errors import NonFiniteLossError
from training.fitting import prior
from training.fitting.data_parallel import ALONE, Processes, share_batch_norm
from training.fitting.ema import MovingAverage
from training.fitting.events import Averages, EpochDone, EpochProgress
from training.fitting.latent_standardisation import standardise_latents
from training.fitting.objective import Terms, bound, several_draws, single_draw
from training.fitting.schedule import (
    beta_at,
    first_prior_only_epoch,
    is_flow_only,
    learning_rate_at,
)
from training.fitting.targets import as_targets
from training.progress import tracked

REPORT_EVERY = 32
"""Batches between two progress reports; reading a tensor's value synchronises with the GPU."""
REPORT_EVERY_S = 2.0
"""Time (s) after which progress is reported even if fewer batches are done."""


def initialise(spec: ModelSpec, seed: int) -> VAE:
    """Return a new VAE with PyTorch's default initialisation; it follows from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VAE(spec)


class Trainer:
    """The state of a training: weights, optimiser moments, random generators, steps done."""

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        optimiser: Optimiser,
        seed: int,
        compute: Compute | None = None,
        *,
        processes: Processes = ALONE,
    ) -> None:
        compute = compute or Compute()
        self.memory_format = (
            torch.channels_last if compute.channels_last is True else torch.contiguous_format
        )
        self.vae = vae.to(memory_format=self.memory_format)
        self.device = next(vae.parameters()).device
        self.objective = objective
        self.optimiser = optimiser
        self.seed = seed
        self.processes = processes
        self.adam = _adam(vae, optimiser)
        self.ema = MovingAverage(vae, optimiser.ema_decay) if optimiser.ema_decay else None
        share_batch_norm(vae, processes)  # the average measures its own statistics
        self.order = torch.Generator().manual_seed(seed)
        self.noise = torch.Generator(self.device).manual_seed(seed)
        self.encoded: prior.EncodedImages | None = None
        self.encoded_test: prior.EncodedImages | None = None
        self.epochs = 0
        self.steps = 0
        on_gpu = self.device.type == "cuda"
        self.autocast = torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=compute.bf16 is True
        )
        compiles = on_gpu and compute.compile
        self.single_draw = torch.compile(single_draw) if compiles else single_draw
        self.several_draws = torch.compile(several_draws) if compiles else several_draws

    @property
    def trained(self) -> VAE:
        """The VAE to measure and publish: the moving average if there is one."""
        return self.ema.vae if self.ema else self.vae

    def fit(self, train: Images, test: Images) -> Iterator[EpochProgress | EpochDone]:
        """Train the remaining epochs in place; images and VAE must be on one device.

        The order of the images and the noise follow from the seed. Raises NonFiniteLossError.
        """
        for epoch in range(self.epochs + 1, self.optimiser.epochs + 1):
            for progress in self.epoch(train, epoch):
                yield progress
            if self.ema and not self._is_flow_only(epoch):
                self.ema.measure_batch_norm(train, self.seed)
            if self.objective.standardise_latents and epoch == self.optimiser.epochs:
                standardise_latents(self.trained, train)
            averages = self._measure(test)
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

    def epoch(self, train: Images, epoch: int = 1) -> Iterator[EpochProgress]:
        """Train one epoch in place, and yield its progress; the last report covers all images.

        `epoch` is its number, from 1.
        """
        if self._is_flow_only(epoch):
            yield from self._prior_epoch(train, epoch)
            return
        self.encoded = self.encoded_test = None
        self.vae.train().requires_grad_()
        started = time.perf_counter()
        sums = torch.zeros(3, device=self.device)
        # gathered once: each batch is then a view
        order = self._random_order(train)
        batches = torch.split(train.pixels[order], self.optimiser.batch_size)
        labels = self._label_batches(train, order, len(batches))
        images, reported = 0, started
        for number, (pixels, label) in enumerate(zip(batches, labels, strict=True), start=1):
            epochs = self._epochs_done(len(train))
            labelled = () if label is None else (label,)
            sums += self.step(as_floats(pixels), epochs, *labelled) * len(pixels)
            images += len(pixels)
            now = time.perf_counter()
            due = number % REPORT_EVERY == 0 or now - reported > REPORT_EVERY_S
            if due or number == len(batches):
                averages = Averages.from_sums(sums, images)
                _check_that_it_is_finite(averages, epoch)
                yield EpochProgress(epoch, images, averages, images / (now - started))
                reported = time.perf_counter()
                started += reported - now  # leaves out the caller's time for the report

    def _is_flow_only(self, epoch: int) -> bool:
        return is_flow_only(self.objective, self.optimiser, epoch)

    def _measure(self, test: Images) -> Averages:
        if self.encoded is None:
            return mean_bound(self.trained, test, self.objective, self._noise())
        if self.encoded_test is None:
            self.encoded_test = prior.encode(self.trained, test, self._noise())
        return prior.averages(self.trained, self.encoded_test, self.objective, self._noise())

    def _prior_epoch(self, train: Images, epoch: int) -> Iterator[EpochProgress]:
        """Train the flow alone, on one draw of z for each image, which is encoded only once."""
        started = time.perf_counter()
        if self.ema and epoch == first_prior_only_epoch(self.objective, self.optimiser):
            self.vae.load_state_dict(self.ema.vae.state_dict())
        if self.encoded is None:
            self.encoded = prior.encode(self.vae, train, self._noise())
        self.vae.eval().requires_grad_(requires_grad=False)
        flow = cast(nn.Module, self.vae.flow).train().requires_grad_()
        kl, order = torch.zeros((), device=self.device), self._random_order(train)
        images = 0
        for number, index in enumerate(torch.split(order, self.optimiser.batch_size), start=1):
            mu, logvar = self.encoded.mu[index], self.encoded.logvar[index]
            eps = torch.randn(mu.shape, generator=self.noise, device=self.device)
            own = [self.processes.own(rows) for rows in (mu, logvar, eps)]
            loss = self._weighted(prior.kl_to_flow(self.vae, *own).mean(), len(index))
            self._step(loss, flow, self._epochs_done(len(train)))
            kl += self.processes.add(loss.detach()) * len(index)
            images += len(index)
            if number % REPORT_EVERY == 0 or images == len(order):
                averages = prior.with_kl(self.encoded, self.objective, float(kl) / images)
                _check_that_it_is_finite(averages, epoch)
                elapsed_s = time.perf_counter() - started
                yield EpochProgress(epoch, images, averages, images / elapsed_s)

    def _label_batches(self, train: Images, order: Tensor, batches: int) -> Sequence[Tensor | None]:
        """Return the labels of each batch, or None for each if the network uses none."""
        if not self.vae.uses_labels:
            return [None] * batches
        labels = train.require_labels().to(self.device)
        return torch.split(labels[order], self.optimiser.batch_size)

    def _random_order(self, train: Images) -> Tensor:
        """Return the indices of the images of one epoch, in a new order for each pass."""
        passes = range(self.optimiser.passes or 1)
        orders = [torch.randperm(len(train), generator=self.order) for _ in passes]
        return torch.cat(orders).to(self.device)

    def _noise(self) -> torch.Generator:
        """Return a new generator for measurements, which do not change the course of the training."""
        return torch.Generator(self.device).manual_seed(self.seed)

    def step(self, x: Tensor, epochs: float, labels: Tensor | None = None) -> Tensor:
        """Take one optimiser step on a batch; `epochs` is the number of epochs done.

        `labels` (batch,) are given to networks that use labels.

        Returns the batch's mean loss, log_px and kl before the step; (3,).
        """
        objective, batch = self.objective, len(x)
        augmenting = epochs < objective.augment_until_epoch
        consistent = augmenting and objective.consistency > 0
        if consistent:
            x = torch.cat([x, augment(x, objective.augmentation, self.noise)])
        elif augmenting and objective.augment_probability:
            x = augment_some(x, objective.augment_probability, objective.augmentation, self.noise)
        x = as_targets(x, objective, self.noise)
        with self.autocast:
            terms = self._terms(x, epochs, labels, copies=len(x) // batch)
            loss = terms.surrogate.mean()
            if consistent:
                loss = loss + objective.consistency * _inconsistency(terms).mean()
        self._step(self._weighted(loss, batch), self.vae, epochs)
        parts = [part.detach().mean() for part in (terms.loss, terms.log_px, terms.kl)]
        return self.processes.add(self._weighted(torch.stack(parts), batch))

    def _weighted(self, means: Tensor, batch: int) -> Tensor:
        """Return means over the rows of this process, weighted so that the sum is over the batch."""
        return means if self.processes.size == 1 else means * self.processes.share(batch)

    def _step(self, loss: Tensor, trained: nn.Module, epochs: float) -> None:
        """Differentiate the loss and move the weights of the trained module."""
        self.adam.param_groups[0]["lr"] = self._learning_rate_at(epochs)
        self.adam.zero_grad()
        torch.autograd.backward(loss)
        self.processes.add_gradients(trained.parameters())
        if self.optimiser.clip_norm:
            torch.nn.utils.clip_grad_norm_(trained.parameters(), self.optimiser.clip_norm)
        self.adam.step()
        self.steps += 1
        if self.ema:
            self.ema.update(self.steps)

    def _learning_rate_at(self, epochs: float) -> float:
        return learning_rate_at(self.optimiser, epochs, self.objective.prior_only_epochs)

    def _terms(self, x: Tensor, epochs: float, labels: Tensor | None, copies: int) -> Terms:
        """Return the terms of this process's rows; each image is `copies` times in x."""
        objective, beta = self.objective, beta_at(self.objective, epochs)
        k = objective.importance_samples if epochs >= objective.importance_after_epochs else 1
        eps = torch.randn(
            (k, len(x), self.vae.spec.latent), generator=self.noise, device=self.device
        )
        x = self.processes.own(x, copies).contiguous(memory_format=self.memory_format)
        eps = self.processes.own(eps, copies, dim=1)
        if labels is not None:
            labels = self.processes.own(labels.repeat(copies), copies)
        if k == 1 and not objective.doubly_reparameterised:
            return self.single_draw(self.vae, x, eps[0], beta, objective.free_bits, labels=labels)
        return self.several_draws(
            self.vae,
            x,
            eps,
            beta,
            doubly_reparameterised=objective.doubly_reparameterised,
            labels=labels,
        )

    def beta(self, images: int) -> float:
        """Return beta for the next step, given the number of images in an epoch."""
        return beta_at(self.objective, self._epochs_done(images))

    def learning_rate(self, images: int) -> float:
        """Return the learning rate for the next step, given the number of images in an epoch."""
        return self._learning_rate_at(self._epochs_done(images))

    def _epochs_done(self, images: int) -> float:
        shown = images * (self.optimiser.passes or 1)
        return self.steps / math.ceil(shown / self.optimiser.batch_size)

    # --- checkpoints ---

    def state(self) -> dict[str, Tensor]:
        """Return everything that the next epoch depends on, as tensors on the CPU."""
        tensors = {f"vae.{name}": value for name, value in self.vae.state_dict().items()}
        if self.ema:
            averaged = self.ema.vae.state_dict()
            tensors |= {f"average.{name}": value for name, value in averaged.items()}
        for number, moments in self.adam.state_dict()["state"].items():
            tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
        tensors["random.order"] = self.order.get_state()
        tensors["random.noise"] = self.noise.get_state()
        tensors["progress"] = torch.tensor([self.epochs, self.steps])
        return {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in tensors.items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Load the `state` of a trainer with the same settings; raises KeyError, RuntimeError."""
        self.vae.load_state_dict(_without_prefix("vae.", tensors))
        if self.ema:
            self.ema.vae.load_state_dict(_without_prefix("average.", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _without_prefix("adam.", tensors).items():
            number, _, moment = name.partition(".")
            in_layout = value.to(memory_format=self.memory_format) if value.dim() == 4 else value
            moments.setdefault(int(number), {})[moment] = in_layout
        self.adam.load_state_dict({**self.adam.state_dict(), "state": moments})
        self.order.set_state(tensors["random.order"])
        self.noise.set_state(tensors["random.noise"])
        self.epochs, self.steps = tensors["progress"].tolist()


def _adam(vae: VAE, optimiser: Optimiser) -> torch.optim.Optimizer:
    """Build the optimiser; `fused` runs one kernel for all tensors instead of several for each."""
    if optimiser.name == "adam":
        return torch.optim.Adam(vae.parameters(), lr=optimiser.learning_rate, fused=True)
    return torch.optim.AdamW(
        vae.parameters(),
        lr=optimiser.learning_rate,
        weight_decay=optimiser.weight_decay,
        fused=True,
    )


def _without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names start with the prefix, with the prefix removed."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


@torch.no_grad()
def mean_bound(
    vae: VAE, images: Images, objective: Objective, noise: torch.Generator, batch_size: int = 1000
) -> Averages:
    """Average the loss with the final beta, and its parts, over images; one draw of z each."""
    vae.eval()
    device = images.pixels.device
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    for index in tracked(
        batch_indices(len(images), affordable_batch(batch_size, vae.spec.image.pixels))
    ):
        x = images.batch(index.to(device))
        x = as_targets(x, objective, noise)
        eps = torch.randn((len(x), vae.spec.latent), generator=noise, device=device)
        parts = bound(vae, x, eps)
        loss = parts.loss(objective.beta)
        sums += torch.stack((loss.sum(), parts.log_px.sum(), parts.kl.sum()))
    return Averages.from_sums(sums, len(images))


def _inconsistency(terms: Terms) -> Tensor:
    """Return KL(q(z | x') || q(z | x)); (batch / 2,), nats.

    The batch holds the images x in its first half and their augmented copies x' in the second.
    Sinha & Dieng 2021, "Consistency regularization for variational auto-encoders", eq. 5.
    """
    (mu, augmented_mu), (logvar, augmented_logvar) = terms.mu.chunk(2), terms.logvar.chunk(2)
    return kl_between(augmented_mu, augmented_logvar, mu, logvar)


def _check_that_it_is_finite(averages: Averages, epoch: int) -> None:
    if not math.isfinite(averages.loss):
        raise NonFiniteLossError(
            f"the loss is {averages.loss} in epoch {epoch}; lower optimiser.learning_rate"
        )
