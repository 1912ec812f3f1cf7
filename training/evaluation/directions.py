"""Find directions of the latent space for what a data set tells, and measure what they do.

A direction is fitted in the space of q(z | x), before a flow. For attributes, mu is regressed on all
attributes together, within classes:

    mu - mean of its class = sum_k coefficients_k (y_k - mean of its class)

so the coefficient of an attribute is the mean change of mu with this attribute while the others and
the class stay. For a class it is the mean of its mu minus that of all other images. A direction is
scaled to the standard deviation of the mu of training images along it.

The choices were measured on `mnist-flow@5` with 4,000 training images: moves by -2 and +2 along
`slant`, 250 test images, changes in standard deviations, and the share that keeps its class:

    space     vector                                         slant          keeps class
    N(0, I)   weights of a ridge regression of slant on mu   -1.20, +1.29   0.82, 0.84
    N(0, I)   covariance of mu and slant                     -1.40, +1.59   0.74, 0.69
    N(0, I)   the same within classes                        -1.38, +1.61   0.66, 0.60
    q(z | x)  weights of a ridge regression of slant on mu   -0.19, +0.19   1.00, 1.00
    q(z | x)  covariance of mu and slant                     -1.54, +1.65   0.94, 0.94
    q(z | x)  the same within classes                        -1.51, +1.64   0.96, 0.96
    q(z | x)  regression on all attributes, within classes   -1.51, +1.63   0.96, 0.96

Weights of a regression that predicts an attribute point where noise cancels, and not where images
change: Haufe et al. 2014, "On the interpretation of weight vectors of linear models in multivariate
neuroimaging". Making them orthogonal to those of other attributes leaves a tenth of the effect. The
regression on all attributes moves others least: `width` changes thickness by -0.55 and +0.74 by its
covariance alone, and by +0.07 and 0.00 with the others and RIDGE = 0.1. RIDGE limits how far related
attributes are set apart: without it, `length` makes strokes thinner by 1.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model_store.directions import NO_DIRECTIONS, Directions, class_direction
from model_store.spec import (
    MAX_DIRECTION_NAME,
    Direction,
    DirectionEffect,
    DirectionTable,
    TrainingRecord,
)
from model_store.vae import TrainedVAE
from training.classifier.model import Judge, judge_images
from training.data.images import Images, Splits
from training.evaluation.attributes import Instrument, known_attributes, make_instrument
from training.evaluation.posteriors import encode_images

Array = NDArray[np.float64]

FITTED_IMAGES = 10_000
"""Largest number of training images that directions are fitted to."""
MIN_IMAGES = 20
"""Images that an attribute must be known of, and that each class must have."""
MIN_WITHIN = 0.1
"""Smallest standard deviation of an attribute within classes, relative to that among all images."""
RIDGE = 0.1
"""Added to the variance of each standardised attribute in the regression."""
MOVED_BY = {"attribute": (-2.0, -1.0, 1.0, 2.0), "class": (1.0, 2.0, 3.0)}
"""Sizes of the moves whose effects are measured, in standard deviations."""
MOVED_IMAGES = 250
"""Largest number of test images that are moved."""
MAX_DECODED = 16_000
"""Largest number of images that all measured moves together decode."""


@dataclass(frozen=True)
class MeasuredDirections:
    """Directions and their description; NO_DIRECTIONS and None if the data set tells nothing."""

    vectors: Directions = NO_DIRECTIONS
    table: DirectionTable | None = None


def dataset_name(record: TrainingRecord) -> str:
    """Return the name of the data set in the preset of a version; empty if it is not recorded."""
    data = record.settings.get("data")
    return str(data.get("dataset", "")) if isinstance(data, dict) else ""


@torch.no_grad()
def find_directions(
    vae: TrainedVAE, splits: Splits, dataset: str, judge: Judge | None
) -> MeasuredDirections:
    """Fit the directions of a data set to its training split, and measure them on its test split.

    `dataset` is the name in the preset. VAE, judge and images must be on one device.
    """
    images = _subset(splits.train, FITTED_IMAGES)
    attributes = known_attributes(images, dataset)
    mu = encode_images(vae.posterior, images).mu.double().numpy()
    labels = np.zeros(len(mu), np.int64)
    if images.labels is not None:
        labels = np.asarray(images.labels.cpu().numpy())
    classes = () if images.labels is None else splits.classes or ()
    steps = _attribute_steps(mu, attributes, labels) | _class_steps(mu, labels, classes)
    if not steps:
        return MeasuredDirections()
    rows = np.stack(list(steps.values())).astype(np.float32)
    vectors = Directions(tuple(steps), rows, vae.has_flow)
    table = _measure(vae, splits, images, attributes, judge, vectors)
    return MeasuredDirections(vectors, table)


@torch.no_grad()
def measure_directions(
    vae: TrainedVAE, splits: Splits, dataset: str, judge: Judge | None, vectors: Directions
) -> DirectionTable:
    """Measure what moves along directions do to the reconstructions of test images."""
    images = _subset(splits.train, FITTED_IMAGES)
    return _measure(vae, splits, images, known_attributes(images, dataset), judge, vectors)


# --- fitting -----------------------------------------------------------------------------------


def _subset(images: Images, most: int) -> Images:
    """Return at most this many images, evenly spaced."""
    step = -(-len(images) // most)
    return images.every(step)


def _attribute_steps(
    mu: Array, attributes: Mapping[str, Array], labels: NDArray[np.int64]
) -> dict[str, Array]:
    """Return the step of each attribute that varies within classes; name -> (latent,).

    Unknown values count as the mean of their class.
    """
    columns: dict[str, Array] = {}
    for name, values in attributes.items():
        has_value = np.isfinite(values)
        if has_value.sum() < MIN_IMAGES or (spread := values[has_value].std()) == 0:
            continue
        within = np.zeros(len(values))
        centred = _without_class_means(values[has_value, None], labels[has_value])[:, 0]
        within[has_value] = centred / spread
        if within[has_value].std() >= MIN_WITHIN:
            columns[name] = within
    if not columns:
        return {}
    y = np.stack(list(columns.values()), axis=1)
    variance = y.T @ y / len(y) + RIDGE * np.eye(y.shape[1])
    coefficients = np.linalg.solve(variance, y.T @ _without_class_means(mu, labels) / len(y))
    return _scaled(dict(zip(columns, coefficients, strict=True)), mu)


def _class_steps(mu: Array, labels: NDArray[np.int64], classes: Sequence[str]) -> dict[str, Array]:
    """Return the step towards each class that has enough images; name -> (latent,)."""
    steps: dict[str, Array] = {}
    for label, name in enumerate(classes):
        inside = labels == label
        few = min(inside.sum(), (~inside).sum()) < MIN_IMAGES
        if not few and len(class_direction(name)) <= MAX_DIRECTION_NAME:
            steps[class_direction(name)] = mu[inside].mean(axis=0) - mu[~inside].mean(axis=0)
    return _scaled(steps, mu)


def _without_class_means(values: Array, labels: NDArray[np.int64]) -> Array:
    """Subtract the mean of its class from each row; values (images, columns) -> same."""
    centred = values.copy()
    for label in np.unique(labels):
        rows = labels == label
        centred[rows] -= values[rows].mean(axis=0)
    return centred


def _scaled(vectors: Mapping[str, Array], mu: Array) -> dict[str, Array]:
    """Scale vectors to the standard deviation of mu along them; those of length 0 are left out."""
    scaled: dict[str, Array] = {}
    for name, vector in vectors.items():
        length = np.sqrt((vector * vector).sum())
        if length > 0:
            unit = vector / length
            scaled[name] = unit * (mu @ unit).std()
    return scaled


# --- measuring ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Still:
    """Test images before they are moved, and what is measured of their reconstructions."""

    vae: TrainedVAE
    judge: Judge | None
    instrument: Instrument | None
    z: Tensor
    """(images, latent), mu of q(z | x), on the CPU."""
    attributes: Mapping[str, Array]
    labels: Tensor | None
    """Class of each reconstruction by the judge; None without one."""


def _measure(  # noqa: PLR0917 - the parts of one measurement
    vae: TrainedVAE,
    splits: Splits,
    fitted: Images,
    attributes: Mapping[str, Array],
    judge: Judge | None,
    vectors: Directions,
) -> DirectionTable:
    named = {name: values for name, values in attributes.items() if name in vectors.names}
    instrument = make_instrument(fitted, named, judge)
    moves = sum(len(_sizes(name)) for name in vectors.names)
    test = _subset(splits.test, max(1, min(MOVED_IMAGES, MAX_DECODED // moves)))
    z = encode_images(vae.posterior, test).mu
    x = decode(vae, z)
    labels = None if judge is None else judge_images(judge, x).labels.cpu()
    still = _Still(
        vae, judge, instrument, z, {} if instrument is None else instrument.tell(x), labels
    )
    r2 = {} if instrument is None else instrument.r2(splits.test)
    entries = []
    for name, step in zip(vectors.names, vectors.steps.astype(np.float64), strict=True):
        label = _label(name, splits.classes)
        effects = tuple(_effect(still, step, by, label) for by in _sizes(name))
        entries.append(Direction(name=name, r2=r2.get(name), effects=effects))
    protocol = _protocol(splits, len(fitted), len(test), judge, instrument)
    return DirectionTable(protocol=protocol, entries=tuple(entries))


def decode(vae: TrainedVAE, z: Tensor) -> Tensor:
    """Return the mean images of z of q(z | x), (images, latent); on the VAE's device."""
    parts = torch.split(z, 250)
    return torch.cat([vae.mean_image(vae.logits(part.to(vae.device))) for part in parts])


def _effect(still: _Still, step: Array, by: float, label: int | None) -> DirectionEffect:
    """Measure a move; `label` is the class that the direction leads to."""
    x = decode(still.vae, (still.z.double() + by * torch.from_numpy(step)).float())
    changes: dict[str, float] = {}
    if still.instrument is not None:
        for name, values in still.instrument.tell(x).items():
            change = _mean_change(values, still.attributes[name]) / still.instrument.stds[name]
            changes[name] = round(change, 4)
    keeps = gets = None
    if still.judge is not None and still.labels is not None:
        labels = judge_images(still.judge, x).labels.cpu()
        keeps = _share(labels == still.labels)
        if label is not None:
            gets = _share(labels[still.labels != label] == label)
    return DirectionEffect(by=by, changes=changes, keeps_class=keeps, gets_class=gets)


def _share(kept: Tensor) -> float | None:
    """Return the share of True; None if there are no values."""
    return round(float(kept.double().mean()), 4) if len(kept) else None


def _mean_change(after: Array, before: Array) -> float:
    """Return the mean difference over the images that have both values; 0 if there are none."""
    difference = after - before
    has_both = np.isfinite(difference)
    return float(difference[has_both].mean()) if has_both.any() else 0.0


def _sizes(name: str) -> tuple[float, ...]:
    return MOVED_BY["class" if name.startswith(class_direction("")) else "attribute"]


def _label(name: str, classes: Sequence[str] | None) -> int | None:
    """Return the index of the class that a direction leads to; None for an attribute."""
    names = [class_direction(each) for each in classes or ()]
    return names.index(name) if name in names else None


def _protocol(
    splits: Splits,
    fitted: int,
    moved: int,
    judge: Judge | None,
    instrument: Instrument | None,
) -> str:
    measured = [] if instrument is None else [instrument.how]
    classes = ["classes by the judge"] if judge is not None else []
    return (
        f"fitted to mu of q(z | x) of {fitted:,} training images of {splits.title}, evenly spaced; "
        f"effects are means over the reconstructions of {moved:,} test images, evenly spaced, "
        f"relative to those that are not moved; {'; '.join([*measured, *classes]) or 'not measured'}"
    )
