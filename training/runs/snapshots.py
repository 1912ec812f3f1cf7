"""Keep about twenty snapshots of a training: what the network draws, and where it places images.

The moments are spaced geometrically, because most is learnt at the beginning: an untrained network
first, then moments within the first epoch, then ends of epochs. Checkpoints keep the snapshots, so a
resumed run ends with those of all epochs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model_store import snapshots as stored
from model_store.snapshots import Snapshots
from model_store.vae import VAE
from training.config import Objective, Optimiser
from training.data.images import Images
from training.evaluation.latent_metrics import mean_kl_per_dimension
from training.evaluation.posteriors import posteriors
from training.fitting.events import EpochProgress
from training.fitting.trainer import REPORT_EVERY, mean_bound

SNAPSHOTS = 20
"""Largest number of snapshots of a run, with the one before training."""
SAMPLES = 16
RECONSTRUCTIONS = 8
TEST_IMAGES = 500
"""Test images that are measured and placed in the latent space; fewer for a short training."""
FEWEST_TEST_IMAGES = 100
IMAGES_PER_TEST_IMAGE = 500
"""Images that a training passes over for each test image. A snapshot encodes its test images twice and
decodes them once, about half of a step of training on them, so 20 snapshots take below 2 %."""
SEED = 0
"""Seed of the samples, as on the sheets of a run, and of the noise of the bound."""

_PREFIX = "snapshots."


def moments(epochs: int, batches: int) -> tuple[float, ...]:
    """Return the times of the snapshots after the first step, in epochs of `batches` steps.

    The times are spaced geometrically, and then moved to the next time at which training can be
    interrupted: a report within the first epoch, or the end of an epoch.
    """
    first = min(REPORT_EVERY / batches, 1.0)
    reports = [step / batches for step in range(REPORT_EVERY, batches, REPORT_EVERY)]
    possible = [*reports, *(float(epoch) for epoch in range(1, epochs + 1))]
    chosen: tuple[float, ...] = ()
    for count in range(2, 4 * SNAPSHOTS):
        ratio = (epochs / first) ** (1 / (count - 1))
        wanted = [first * ratio**i for i in range(count)]
        finer = tuple(sorted({_nearest(time, possible) for time in wanted}))
        if len(finer) >= SNAPSHOTS:  # one is taken before the first step
            break
        chosen = finer
    return chosen


def _nearest(time: float, possible: list[float]) -> float:
    return min(possible, key=lambda each: abs(math.log(each / time)))


@dataclass(frozen=True, eq=False)
class _Snapshot:
    """One snapshot, as tensors on the CPU."""

    numbers: Tensor
    """(3,) float64: epochs done, reconstruction and KL of the test images in nats."""
    tiles: Tensor
    """(SAMPLES + reconstructions, channels, height, width) uint8."""
    mu: Tensor
    """(test images, latent) float32: means of test images in the space of N(0, I)."""
    dimension_kl: Tensor
    """(latent,) float32, nats."""


class SnapshotRecorder:
    """The snapshots of one run."""

    def __init__(
        self, train: Images, test: Images, objective: Objective, optimiser: Optimiser
    ) -> None:
        shown = len(train) * (optimiser.passes or 1)
        self._shown = shown
        self._report_images = REPORT_EVERY * optimiser.batch_size
        batches = math.ceil(shown / optimiser.batch_size)
        self._moments = frozenset(round(t * batches) for t in moments(optimiser.epochs, batches))
        self._batch_size = optimiser.batch_size
        self._batches = batches
        self._objective = objective
        affordable = shown * optimiser.epochs // IMAGES_PER_TEST_IMAGE
        self._test = _spread(test, min(max(affordable, FEWEST_TEST_IMAGES), TEST_IMAGES))
        self._reconstructed = _one_of_each_class(self._test, RECONSTRUCTIONS)
        self._taken: list[_Snapshot] = []

    def before_training(self, vae: VAE) -> None:
        """Take the snapshot of the untrained network, unless a resumed run has it."""
        if not self._taken:
            self._take(vae, 0.0)

    def in_epoch(self, vae: VAE, progress: EpochProgress) -> None:
        """Take a snapshot if one is due within the first epoch.

        Reports that are due to the time they take are passed over, so that two runs take the same
        snapshots.
        """
        regular = progress.images % self._report_images == 0
        if progress.epoch == 1 and regular and progress.images < self._shown:
            steps = progress.images // self._batch_size
            if steps in self._moments:
                self._take(vae, steps / self._batches)

    def after_epoch(self, vae: VAE, epoch: int) -> None:
        """Take a snapshot if one is due at the end of this epoch."""
        if epoch * self._batches in self._moments:
            self._take(vae, float(epoch))

    def finish(self, vae: VAE, epoch: int) -> Snapshots | None:
        """Return the snapshots up to the published epoch, which is the last one of them.

        Returns None for a run that began before snapshots were kept.
        """
        self._taken = [each for each in self._taken if each.numbers[0] < epoch]
        if not self._taken:
            return None
        self._take(vae, float(epoch))
        numbers, tiles, mu, dimension_kl = (
            torch.stack([getattr(each, name) for each in self._taken]).numpy()
            for name in ("numbers", "tiles", "mu", "dimension_kl")
        )
        return stored.make(
            epochs=numbers[:, 0],
            reconstruction_nats=numbers[:, 1],
            kl_nats=numbers[:, 2],
            dimension_kl_nats=dimension_kl.astype(np.float64),
            samples=SAMPLES,
            tiles=tiles,
            reconstruction_labels=_labels(self._reconstructed),
            mu=mu.astype(np.float64),
            labels=_labels(self._test),
        )

    @torch.no_grad()
    def _take(self, vae: VAE, epochs: float) -> None:
        """Take a snapshot, without changing the mode of the network or the training's random numbers."""
        training = vae.training
        vae.eval()
        noise = torch.Generator(vae.device).manual_seed(SEED)
        averages = mean_bound(vae, self._test, self._objective, noise)
        encoded = posteriors(vae, self._test)
        u = torch.randn((SAMPLES, vae.spec.latent), generator=torch.Generator().manual_seed(SEED))
        index = torch.arange(len(self._reconstructed), device=vae.device)
        shown, _ = vae.posterior(self._reconstructed.batch(index))
        logits = torch.cat([vae.decode(u.to(vae.device)), vae.logits(shown)])
        snapshot = _Snapshot(
            torch.tensor([epochs, averages.reconstruction, averages.kl], dtype=torch.float64),
            _small(vae.mean_image(logits)).cpu(),
            encoded.mu.float(),
            mean_kl_per_dimension(encoded.mu, encoded.logvar).float(),
        )
        vae.train(training)
        self._taken.append(snapshot)

    # --- checkpoints ---

    def state(self) -> dict[str, Tensor]:
        """Return the snapshots that were taken, as tensors for a checkpoint."""
        return {
            f"{_PREFIX}{number:02}.{name}": value
            for number, snapshot in enumerate(self._taken)
            for name, value in vars(snapshot).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue with the snapshots of a checkpoint, which has none if it is an older one."""
        by_number: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(_PREFIX):
                number, part = name.removeprefix(_PREFIX).split(".")
                by_number.setdefault(number, {})[part] = value
        self._taken = [_Snapshot(**by_number[number]) for number in sorted(by_number)]


def _spread(images: Images, count: int) -> Images:
    """Return about `count` images that are evenly spaced, because folders are sorted by class."""
    return images.every(max(1, len(images) // count)).first(count)


def _one_of_each_class(images: Images, count: int) -> Images:
    """Return the first image of each class in turn, then the second ones, up to `count`."""
    if images.labels is None:
        return _spread(images, count)
    labels = images.labels.tolist()
    seen: dict[int, int] = {}
    turns = []
    for place, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        turns.append((seen[label], label, place))
    chosen = sorted(turns)[:count]
    index = torch.tensor([place for _, _, place in chosen], device=images.pixels.device)
    return Images(images.pixels[index], images.labels[index])


def _small(images: Tensor) -> Tensor:
    """Return images in [0, 1] as bytes, as means of squares of pixels if they are large."""
    channels, height, width = images.shape[1:]
    side = 1
    while channels * (height // side) * (width // side) > stored.MAX_IMAGE_VALUES:
        side += 1
    smaller = F.avg_pool2d(images.float(), side) if side > 1 else images.float()
    return smaller.mul(255).round().clamp(0, 255).byte()


def _labels(images: Images) -> tuple[int, ...] | None:
    return None if images.labels is None else tuple(images.labels.tolist())
