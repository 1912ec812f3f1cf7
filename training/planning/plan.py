"""Plan a training from the survey of a folder: a preset, and for each choice the reason.

All functions here are pure. How much a network learns depends on the number of optimiser steps. That
number is therefore chosen first, and epochs, averaging and warm-up follow from it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from training.config import Augmentation, Data, Objective, Optimiser, Preset, changed, load_preset
from training.data.folder_survey import Survey
from training.errors import SettingError
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import NLL_IMAGES, NLL_SAMPLES, NLL_SEEDS
from training.evaluation.warnings import FEW_IMAGES, MIN_IMAGES_PER_CLASS
from training.fitting.memory import estimate_memory
from training.planning import network

DEFAULT_MINUTES = 30.0
"""Longest training, unless the user gives another time."""
MIN_STEPS = 3000
"""Optimiser steps of a training of few images."""
MAX_STEPS = 20_000
PASSES_PER_TRAINING = 60
"""Passes over the images of a training that is not bounded by MIN_STEPS, MAX_STEPS or time."""
USABLE_STEPS = 1500
"""Steps below which the plan advises more time or smaller images."""
EPOCH_STEPS = 50
"""Steps of an epoch, at least: each ends in a measurement and a checkpoint."""
WARMUP_STEPS = 100
AVERAGED_SHARE = 0.05
"""Horizon of the average of the weights, as a share of all steps."""
MAX_AVERAGED_STEPS = 1000
FULL_SHARE = 0.5
"""Longest full evaluation, as a share of the time of the training."""


@dataclass(frozen=True)
class Wishes:
    """Settings that the user chose; None leaves the choice to the plan."""

    size: int | None = None
    """Longer side of the model's images, pixels."""
    minutes: float | None = None
    """Time to train, minutes."""
    overrides: Mapping[str, object] | None = None
    """Keys of the preset that the user sets."""


@dataclass(frozen=True)
class Plan:
    """A preset for a folder, and advice."""

    preset: Preset
    level: EvaluationLevel
    images_per_s: float
    """Measured speed of training."""
    advice: tuple[str, ...]


def draft(survey: Survey, wishes: Wishes, available_bytes: int | None = None) -> Preset:
    """Choose everything but the number of steps; raises SettingError.

    The batch is halved as long as the training needs more memory than is available.
    """
    images = survey.train + survey.test
    preset = Preset(
        summary="Images of a folder; every setting was chosen for their size and number",
        data=Data(dataset="folder"),
        model=network.model_spec(survey, _checked_size(wishes.size)),
        objective=Objective(
            augment_probability=0.5 if survey.colour else 0.0,
            augmentation=Augmentation(degrees=0, shift=0, scale=0, mirror=survey.colour),
        ),
        optimiser=Optimiser(
            name="adamw",
            weight_decay=0.02,
            learning_rate=2e-3,
            schedule="cosine",
            batch_size=batch_size(survey.train),
        ),
        compute=load_preset("folder").compute,
    )
    preset = changed(preset, dict(wishes.overrides or {}))
    while available_bytes is not None and preset.optimiser.batch_size > 1:
        if "optimiser.batch_size" in (wishes.overrides or {}):
            break
        if estimate_memory(preset, images).total <= available_bytes:
            break
        half = preset.optimiser.batch_size // 2
        preset = changed(preset, {"optimiser.batch_size": half})
    return preset


def plan(survey: Survey, wishes: Wishes, preset: Preset, images_per_s: float) -> Plan:
    """Complete the preset of `draft` for a machine that trains `images_per_s`."""
    overrides = wishes.overrides or {}
    batch = preset.optimiser.batch_size
    steps = target_steps(survey.train, batch, wishes.minutes, images_per_s)
    passes = passes_per_epoch(survey.train, batch)
    per_epoch = math.ceil(survey.train * passes / batch)
    epochs = max(1, round(steps / per_epoch))
    if "optimiser.epochs" in overrides:
        epochs = preset.optimiser.epochs
    steps = epochs * per_epoch
    chosen: dict[str, object] = {
        "optimiser.epochs": epochs,
        "optimiser.passes": passes if passes > 1 else None,
        "optimiser.warmup_epochs": min(WARMUP_STEPS, steps / 10) / per_epoch,
        "optimiser.ema_decay": ema_decay(steps),
        "optimiser.clip_norm": float(round(preset.model.image.pixels / 3)),
    }
    preset = changed(preset, {k: v for k, v in chosen.items() if k not in overrides})
    train_s = epochs * passes * survey.train / images_per_s
    level = evaluation_level(survey.test, images_per_s, train_s)
    return Plan(preset, level, images_per_s, advice(survey, steps, images_per_s, preset))


def batch_size(images: int) -> int:
    """Return a power of two: small batches of few images, so that an epoch has several steps."""
    if images >= 20_000:
        return 64
    return max(2, min(32, 1 << (max(1, images // 4).bit_length() - 1)))


def target_steps(images: int, batch: int, minutes: float | None, images_per_s: float) -> int:
    """Return the number of steps: as many as the images need, or as a given time allows."""
    affordable = (minutes or DEFAULT_MINUTES) * 60 * images_per_s / batch
    if minutes is not None:
        return max(1, round(affordable))
    needed = min(max(PASSES_PER_TRAINING * images / batch, MIN_STEPS), MAX_STEPS)
    return max(1, round(min(needed, affordable)))


def passes_per_epoch(images: int, batch: int) -> int:
    """Return the passes over the images that make an epoch of at least EPOCH_STEPS."""
    return max(1, math.ceil(EPOCH_STEPS * batch / images)) if images < EPOCH_STEPS * batch else 1


def ema_decay(steps: int) -> float:
    """Return the decay of an average over AVERAGED_SHARE of the steps: 1 - 1 / horizon."""
    horizon = min(max(AVERAGED_SHARE * steps, 2.0), MAX_AVERAGED_STEPS)
    return round(1 - 1 / horizon, 5)


def evaluation_level(test: int, images_per_s: float, train_s: float) -> EvaluationLevel:
    """Return `full` if the likelihood takes less than FULL_SHARE of the training, else `bound`.

    Training on an image costs as much as decoding six: encoder and decoder, forwards and twice as
    much backwards. The likelihood is measured for the exact and for the float network.
    """
    measured = len(range(0, test, max(1, test // NLL_IMAGES)))
    decoded = 2 * measured * NLL_SAMPLES * len(NLL_SEEDS)
    evaluation_s = decoded / (6 * images_per_s)
    return EvaluationLevel.FULL if evaluation_s <= FULL_SHARE * train_s else EvaluationLevel.BOUND


def advice(survey: Survey, steps: int, images_per_s: float, preset: Preset) -> tuple[str, ...]:
    """Return what the user should change for a better model."""
    lines = []
    if survey.train < FEW_IMAGES:
        lines.append(
            f"{survey.train} training images are few: the model will repeat them; use some "
            "hundreds, better thousands"
        )
    if steps < USABLE_STEPS:
        minutes = USABLE_STEPS * preset.optimiser.batch_size / images_per_s / 60
        lines.append(
            f"{steps:,} steps are few for a usable model: give --minutes {math.ceil(minutes)} or "
            "more, or smaller images with --size"
        )
    small = [
        f"{name} ({count})" for name, count in survey.classes or () if count < MIN_IMAGES_PER_CLASS
    ]
    if small:
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        lines.append(
            f"label= needs {MIN_IMAGES_PER_CLASS} training images of every class, and there are "
            f"fewer of {', '.join(small[:3])}{more}: add images, or merge or remove these folders"
        )
    return tuple(lines)


def _checked_size(size: int | None) -> int | None:
    if size is not None and not network.MIN_SIDE <= size <= network.MAX_SIDE:
        raise SettingError(
            f"--size {size}: the longer side may have {network.MIN_SIDE} to {network.MAX_SIDE} pixels"
        )
    return size
