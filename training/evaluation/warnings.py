"""Warn about results that nobody should publish without a look, and say what to change.

The warnings follow from the published numbers and the settings of the run alone. They are printed,
written at the top of the card, and kept in the manifest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from model_store.spec import Metric, TrainingRecord
from training.data.images import Splits

MIN_IMAGES_PER_CLASS = 20
"""Training images that every class needs; otherwise no mixtures are fitted to the classes."""
FEW_IMAGES = 100
"""Training images below which a network learns them by heart."""
FEW_STEPS = 1000
"""Optimiser steps below which a network has hardly begun to learn."""
LEAST_EXPLAINED = 0.1
"""Share of the variance of the pixels below which an image is as good as the mean image."""
FEW_TEST_IMAGES = 50
"""Test images below which classes at chance alone are no fault: 70 % and 50 % are too near to tell."""
NOISY_EXPLAINED = 0.5
"""Share below which latents that are all active are taken for noise."""
MAX_EXACT_LOSS = 0.02
"""Largest accepted increase of the -ELBO by the exact arithmetic, as a share of its value."""
MANY_LATENTS = 8
"""Latent dimensions from which it is suspicious that all are active."""
MAX_AVERAGED_SHARE = 1 / 3
"""Largest accepted horizon of the average of the weights, as a share of all steps."""


@dataclass(frozen=True)
class Training:
    """Settings of a run that warnings depend on; None if unknown."""

    images: int
    steps: int | None = None
    ema_decay: float | None = None
    class_images: Mapping[str, int] | None = None
    """Training images of each class."""
    largest_class: float | None = None
    """Share of the largest class among the test images."""
    test_images: int = 0
    continued: bool = False
    """True if training began with the weights of a version."""


def training_of(record: TrainingRecord, splits: Splits) -> Training:
    """Collect what the warnings need from the record of a run and its data."""
    optimiser = record.settings.get("optimiser")
    settings = optimiser if isinstance(optimiser, dict) else {}
    batch, passes = settings.get("batch_size"), settings.get("passes")
    decay = settings.get("ema_decay")
    images = len(splits.train)
    steps = None
    if isinstance(batch, int):
        shown = images * (passes if isinstance(passes, int) else 1)
        steps = record.epochs * math.ceil(shown / batch)
    if splits.classes is None or splits.train.labels is None or splits.test.labels is None:
        counts, largest = None, None
    else:
        of_each = torch.bincount(splits.train.labels.cpu(), minlength=len(splits.classes))
        counts = dict(zip(splits.classes, of_each.tolist(), strict=True))
        largest = torch.bincount(splits.test.labels.cpu()).max().item() / len(splits.test)
    return Training(
        continued=record.settings.get("start") is not None,
        images=images,
        steps=steps,
        ema_decay=decay if isinstance(decay, float) else None,
        class_images=counts,
        largest_class=largest,
        test_images=len(splits.test),
    )


def find_warnings(
    metrics: Mapping[str, Metric], latent: int, training: Training
) -> tuple[str, ...]:
    """Return a sentence about each fault of a result, with what to change; none if it has none."""
    return (
        *_about_the_run(training),
        *_about_the_result({name: m.value for name, m in metrics.items()}, latent, training),
        *_about_the_arithmetic({name: m.value for name, m in metrics.items()}),
        *_about_the_classes(training),
    )


def _about_the_run(training: Training) -> list[str]:
    lines = []
    if training.images < FEW_IMAGES:
        lines.append(
            f"there are only {training.images} training images, which the model can only learn by "
            "heart; use some hundreds, better thousands"
        )
    if training.steps is None:
        return lines
    if training.steps < FEW_STEPS and not training.continued:
        lines.append(
            f"training took only {training.steps:,} steps; some thousands are needed: set --epochs "
            f"{math.ceil(3 * FEW_STEPS / max(1, training.steps))} times as high, or a smaller "
            "optimiser.batch_size"
        )
    if training.ema_decay is not None:
        horizon = 1 / (1 - training.ema_decay)
        if horizon > MAX_AVERAGED_SHARE * training.steps:
            decay = 1 - 1 / max(2.0, training.steps / 20)
            lines.append(
                f"the weights are averaged over {horizon:,.0f} steps, and training took "
                f"{training.steps:,}: set optimiser.ema_decay={decay:.3g}, or train longer"
            )
    return lines


def _about_the_result(values: Mapping[str, float], latent: int, training: Training) -> list[str]:
    lines = []
    explained, active = values.get("variance_explained"), values.get("active_units")
    if explained is not None and explained < LEAST_EXPLAINED:
        lines.append(
            "reconstructions are no better than the mean image (they explain "
            f"{max(explained, 0):.0%} of the variance of the test pixels): train for more steps, "
            "with more images, or with a lower objective.beta"
        )
    if active == 0:
        lines.append(
            "the latents collapsed: none of them depends on the image; set "
            "objective.annealing_epochs or objective.free_bits, or lower objective.beta"
        )
    chance = _accuracy_at_chance(values, training)
    blurred = explained is not None and explained < NOISY_EXPLAINED
    if training.test_images < FEW_TEST_IMAGES and not blurred:
        chance = ""
    if active == latent >= MANY_LATENTS and blurred:
        lines.append(
            f"the latents look like noise: all {latent} are active, and yet "
            f"{chance or f'reconstructions explain only {explained:.0%} of the variance'}; train for more steps, "
            f"or set model.latent={max(2, latent // 4)}"
        )
    elif chance:
        lines.append(
            f"the latents do not tell the classes apart: {chance}; train for more steps, with more "
            "images of each class, or check that the folders hold what their names say"
        )
    return lines


def _about_the_arithmetic(values: Mapping[str, float]) -> list[str]:
    exact = values.get("test_negative_elbo")
    before = values.get("float_test_negative_elbo")
    if exact is None or before is None or exact - before <= MAX_EXACT_LOSS * abs(before):
        return []
    line = (
        f"the exact network is worse than the trained one ({exact:,.1f} instead of {before:,.1f} "
        "nats per image): look at the samples, and publish the float weights if they are better, "
        "with --set arithmetic=float"
    )
    return [line]


def _accuracy_at_chance(values: Mapping[str, float], training: Training) -> str:
    """Return a sentence if the better classifier is within two standard errors of chance."""
    names = ("knn_accuracy", "linear_probe_accuracy")
    measured = [values[name] for name in names if name in values]
    chance = training.largest_class
    if not measured or chance is None or not training.test_images:
        return ""
    error = math.sqrt(chance * (1 - chance) / training.test_images)
    if max(measured) > chance + 2 * error:
        return ""
    return (
        f"{max(measured):.0%} of {training.test_images:,} test images get their true class, and "
        f"{chance:.0%} would by chance"
    )


def _about_the_classes(training: Training) -> list[str]:
    counts = training.class_images or {}
    small = [f"{name} ({count})" for name, count in counts.items() if count < MIN_IMAGES_PER_CLASS]
    if not small:
        return []
    more = f" and {len(small) - 3} more" if len(small) > 3 else ""
    few = ", ".join(small[:3]) + more
    line = (
        f"label= is not available: every class needs {MIN_IMAGES_PER_CLASS} training images, and "
        f"there are fewer of {few}; add images, or merge or remove these folders"
    )
    return [line]
