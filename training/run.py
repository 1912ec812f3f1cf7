"""One training run from its preset to a published version; says what happens by events."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import torch

from model_store import VAE, Manifest, Store, TrainingRecord
from training import data, figures, publish
from training.config import Preset
from training.data import Splits
from training.errors import DeviceError
from training.evaluate import evaluate
from training.fit import EpochDone, Progress, Trainer, initialise


class Device(StrEnum):
    """Where to train; auto is the GPU where there is one."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Figures(StrEnum):
    """Which figures to publish; `model` leaves out those that show images of the data set."""

    ALL = "all"
    MODEL = "model"


@dataclass(frozen=True)
class Job:
    """What to train, from what, and where to."""

    preset_name: str
    preset: Preset
    data_dir: Path
    store: Store
    name: str
    seed: int = 0
    device: Device = Device.AUTO
    figures: Figures = Figures.ALL
    download: bool = False


@dataclass(frozen=True)
class Started:
    """The data is in memory and the first epoch begins."""

    dataset: str
    images: int
    epochs: int
    weights: int
    device: str


Event = Started | Progress | EpochDone


def train(job: Job, report: Callable[[Event], None]) -> Manifest:
    """Train, measure, draw and publish; the same job on the same machine gives the same weights.

    Nothing is published unless all of it succeeds. Raises TrainingError, StoreError.
    """
    device = choose_device(job.device)
    publish.check_destination(job.store, job.name)
    commit = publish.source_commit()  # now: the code may change while it trains
    preset = job.preset
    splits = data.load(preset.data, job.data_dir, preset.model.image, download=job.download)
    splits = replace(splits, train=splits.train.to(device), test=splits.test.to(device))
    vae = initialise(preset.model, job.seed).to(device)
    weights = sum(weight.numel() for weight in vae.parameters())
    report(Started(splits.title, len(splits.train), preset.optimiser.epochs, weights, device.type))

    started = time.monotonic()
    history = []
    for event in Trainer(vae, preset.objective, preset.optimiser, job.seed).fit(
        splits.train, splits.test
    ):
        report(event)
        if isinstance(event, EpochDone):
            history.append(event)
    duration_s = time.monotonic() - started

    evaluation = evaluate(vae, splits.test, splits.title)
    record = TrainingRecord(
        preset=job.preset_name,
        dataset=splits.title,
        seed=job.seed,
        epochs=preset.optimiser.epochs,
        settings=preset.model_dump(mode="json") | {"threads": torch.get_num_threads()},
        device=device.type,
        duration_s=round(duration_s, 1),
        libraries=publish.libraries(),
        source_commit=commit,
    )
    drawn = draw(vae, splits, evaluation.latents.kl_nats, history, job.figures)
    return publish.publish(
        job.store, job.name, vae, preset=preset, record=record, evaluation=evaluation, figures=drawn
    )


def draw(
    vae: VAE,
    splits: Splits,
    kl_nats: tuple[float, ...],
    history: list[EpochDone],
    which: Figures,
) -> dict[str, bytes]:
    """Name -> PNG."""
    vae.eval()
    drawn = {"samples": figures.samples(vae)}
    if which is Figures.ALL:
        first = torch.arange(min(24, len(splits.test)), device=splits.test.pixels.device)
        drawn["reconstructions"] = figures.reconstructions(vae, splits.test.batch(first))
    drawn["traversal"] = figures.traversal(vae, kl_nats)
    drawn["loss"] = figures.loss_curve(history)
    return drawn


def choose_device(device: Device) -> torch.device:
    """The device to train on; raises DeviceError where a GPU was asked for and there is none."""
    available = torch.cuda.is_available()
    if device is Device.CUDA and not available:
        raise DeviceError(
            "--device cuda: PyTorch sees no GPU on this machine; use --device cpu or auto"
        )
    return torch.device("cuda" if available and device is not Device.CPU else "cpu")
