"""Check that a version's card, manifest and weights agree, by measuring every number again."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from model_store.encoded_images import EncodedImages
from model_store.spec import (
    Direction,
    DirectionTable,
    LatentStatistics,
    Manifest,
    Metric,
    ModelRef,
    TrainingRecord,
)
from model_store.store import WEIGHTS, Store
from model_store.vae import build_vae
from training.classifier.model import judge_for
from training.config import Data
from training.data import loading
from training.data.images import Splits
from training.errors import SettingError
from training.evaluation import float_metrics, typicality
from training.evaluation.class_metrics import COLUMNS, by_class
from training.evaluation.directions import dataset_name, measure_directions
from training.evaluation.evaluate import Evaluation, evaluate
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import NLL_128_SAME_IMAGES, NLL_5000
from training.evaluation.served import served_vae

_METRICS_OF_COLUMNS = {heading: metric for metric, heading in COLUMNS.items()}

TOLERANCE_NATS = 0.02
"""Tolerance of metrics that were published without one, in the metric's unit."""

EFFECT_TOLERANCE = 0.02
"""Tolerance of the effects of directions: changes in standard deviations, and shares."""


@dataclass(frozen=True)
class Check:
    """A stated number beside the recomputed one, which is None if it could not be measured."""

    name: str
    unit: str
    stated: float
    recomputed: float | None
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Recomputed minus stated."""
        return None if self.recomputed is None else self.recomputed - self.stated

    @property
    def agrees(self) -> bool:
        """True if the recomputed value is within tolerance of the stated one."""
        return self.difference is not None and abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Verification:
    """All checks of a version, and the names of the metrics that were not measured again."""

    manifest: Manifest
    checks: tuple[Check, ...]
    left_out: tuple[str, ...]
    further: Mapping[str, Metric] = field(default_factory=dict)
    """Metrics of the level `exhaustive` that the version does not state."""

    @property
    def agrees(self) -> bool:
        """True if every check agrees."""
        return all(check.agrees for check in self.checks)


def verify(
    store: Store,
    ref: ModelRef,
    data_dir: Path,
    level: EvaluationLevel,
    *,
    device: torch.device,
    report: Callable[[str], None],
) -> Verification:
    """Measure a version again; raises StoreError, UsageError, DataError.

    The checksums are verified first: a file that was changed is an error, not a difference.
    """
    store.verify(ref)
    stored = store.load(ref)
    if level is EvaluationLevel.FULL and NLL_5000 in stored.manifest.metrics:
        level = EvaluationLevel.EXHAUSTIVE
    splits = load_splits(stored.manifest, data_dir, device)
    vae = served_vae(stored, device)
    judge = judge_for(stored.manifest.training, vae, splits.classes)
    evaluation = evaluate(
        vae, splits, level, judge=judge, class_latents=stored.class_latents, report=report
    )
    if stored.network is not None and WEIGHTS in stored.manifest.files:
        report("the float weights")
        float_vae = build_vae(stored.spec, store.float_weights(ref)).to(device)
        float_numbers = float_metrics.measure(float_vae, splits, level, judge)
        evaluation = replace(evaluation, metrics=evaluation.metrics | float_numbers)
    directions = None
    if stored.directions and level.includes(EvaluationLevel.FULL):
        report("directions")
        dataset = dataset_name(stored.manifest.training)
        directions = measure_directions(vae, splits, dataset, judge, stored.directions)
    checked = check_statements(stored.manifest, store.card(ref), evaluation, level, directions)
    again = _check_encoded_images(stored.encoded_images, evaluation.encoded_images)
    further = by_many_draws(evaluation.metrics, stored.manifest.metrics)
    return replace(checked, checks=(*checked.checks, *again), further=further)


def by_many_draws(
    measured: Mapping[str, Metric], stated: Mapping[str, Metric]
) -> dict[str, Metric]:
    """Return the likelihoods by 5,000 draws, and those to compare with, that a version does not state."""
    names = (NLL_5000, NLL_128_SAME_IMAGES)
    return {name: measured[name] for name in names if name in measured and name not in stated}


def check_statements(
    manifest: Manifest,
    card: str,
    evaluation: Evaluation,
    level: EvaluationLevel,
    directions: DirectionTable | None = None,
) -> Verification:
    """Compare the numbers of manifest and card with those of a new evaluation.

    `directions` are measured again, or None if they were not.
    """
    checks = [
        *_check_metrics(manifest.metrics, evaluation, level),
        *check_latents(manifest, evaluation.latents),
        *_check_sums(manifest),
        *_check_directions(manifest.directions, directions),
        *_check_card(manifest.metrics, card),
    ]
    names = {check.name for check in checks}
    left_out = tuple(name for name in manifest.metrics if name not in names)
    return Verification(manifest, tuple(checks), left_out)


def load_splits(manifest: Manifest, data_dir: Path, device: torch.device) -> Splits:
    """Load the data that a version was trained and measured on, onto the device."""
    splits = loading.load(_data(manifest.training), data_dir, manifest.spec)
    return replace(splits, train=splits.train.to(device), test=splits.test.to(device))


def _data(record: TrainingRecord) -> Data:
    try:
        return Data.model_validate(record.settings.get("data"))
    except ValidationError as error:
        raise SettingError(
            f"the manifest does not say which data of {record.dataset} the model was trained on; "
            "measure an imported version by: evaluate NAME@VERSION --data DATASET"
        ) from error


def _check_metrics(
    stated: Mapping[str, Metric], evaluation: Evaluation, level: EvaluationLevel
) -> Iterator[Check]:
    without_float = not any(n.startswith(float_metrics.PREFIX) for n in evaluation.metrics)
    for name, metric in stated.items():
        again = evaluation.metrics.get(name)
        if again is None and without_float and name.startswith(float_metrics.PREFIX):
            continue
        if again is None and name.startswith(typicality.PREFIX):
            continue  # the data set of this kind of images is missing here
        if again is None and not level.includes(EvaluationLevel.FULL):
            continue
        tolerance = TOLERANCE_NATS if metric.tolerance is None else metric.tolerance
        value = None if again is None else again.value
        yield Check(name, metric.unit, metric.value, value, tolerance)


def check_latents(manifest: Manifest, latents: LatentStatistics) -> Iterator[Check]:
    """Check, for each statistic of the latents, the dimension that differs most."""
    if manifest.latents is None:
        return
    for name in ("kl_nats", "mean", "std"):
        stated, again = getattr(manifest.latents, name), getattr(latents, name)
        if len(stated) != len(again):
            yield Check(f"latents.{name}", "dimensions", len(stated), len(again), 0)
            continue
        worst = max(range(len(stated)), key=lambda d: abs(stated[d] - again[d]))
        tolerance = 0.002 + 0.001 * abs(stated[worst])
        unit = "nats" if name == "kl_nats" else "z"
        label = f"latents.{name}[{worst}]"
        yield Check(label, unit, stated[worst], again[worst], tolerance)


def _check_encoded_images(
    stated: EncodedImages | None, again: EncodedImages | None
) -> Iterator[Check]:
    """Check the published latents of test images by the one that differs most."""
    if stated is None or again is None:
        return
    chosen, now = (stated.indices.tolist(), again.indices.tolist())
    if chosen != now:
        yield Check("encoded_images: images", "images", len(chosen), len(now), 0)
        return
    image, dimension = divmod(int(abs(stated.u - again.u).argmax()), stated.latent)
    before, after = (float(each.u[image, dimension]) for each in (stated, again))
    tolerance = 0.002 + 1.01 * float(stated.scale[dimension])
    yield Check(f"encoded_images[{image},{dimension}]", "u", before, after, tolerance)


def _check_directions(
    stated: DirectionTable | None, again: DirectionTable | None
) -> Iterator[Check]:
    """Check, for each direction, the effect that differs most."""
    if stated is None or again is None:
        return
    for one, other in zip(stated.entries, again.entries, strict=True):
        pairs = list(_effect_pairs(one, other))
        if pairs:
            name, before, after = max(pairs, key=_difference)
            yield Check(f"direction {one.name}: {name}", "", before, after, EFFECT_TOLERANCE)


def _effect_pairs(stated: Direction, again: Direction) -> Iterator[tuple[str, float, float]]:
    """Yield each effect of a direction: name, stated and new value; NaN if it is not measured."""
    for one, other in zip(stated.effects, again.effects, strict=True):
        for name, change in one.changes.items():
            yield f"{name} by {one.by:g}", change, other.changes.get(name, math.nan)
        for name in ("keeps_class", "gets_class"):
            share = getattr(one, name)
            if share is not None:
                repeated = getattr(other, name)
                yield f"{name} by {one.by:g}", share, math.nan if repeated is None else repeated


def _difference(pair: tuple[str, float, float]) -> float:
    difference = abs(pair[1] - pair[2])
    return math.inf if math.isnan(difference) else difference


def _check_sums(manifest: Manifest) -> Iterator[Check]:
    """Check that stated numbers add up, independently of the weights."""
    value = {name: metric.value for name, metric in manifest.metrics.items()}
    # with a flow, latents.kl_nats are measured on the N(0, I) side and test_kl against the flow
    has_flow = manifest.spec.prior is not None
    if manifest.latents is not None and "test_kl" in value and not has_flow:
        total = sum(manifest.latents.kl_nats)
        yield Check("sum of latents.kl_nats", "nats", value["test_kl"], total, TOLERANCE_NATS)
    if {"test_negative_elbo", "test_reconstruction", "test_kl"} <= value.keys():
        total = value["test_reconstruction"] + value["test_kl"]
        stated = value["test_negative_elbo"]
        yield Check("reconstruction + KL", "nats", stated, total, TOLERANCE_NATS)


def _check_card(stated: Mapping[str, Metric], card: str) -> Iterator[Check]:
    """Yield each number of card.md that differs from the manifest, or one check for all of them."""
    written = _numbers_in_card(card)
    wrong = 0
    for name, metric in stated.items():
        text = written.get(name)
        if text is None:
            yield Check(f"card.md: {name}", metric.unit, metric.value, None, 0)
            wrong += 1
            continue
        decimals = len(text.partition(".")[2])
        tolerance = 0.5000001 * 10**-decimals
        if abs(float(text) - metric.value) > tolerance:
            yield Check(f"card.md: {name}", metric.unit, float(text), metric.value, tolerance)
            wrong += 1
    if not wrong:
        yield Check("numbers in card.md", "of the manifest", len(stated), len(stated), 0)


def _numbers_in_card(card: str) -> dict[str, str]:
    """Return metric name -> digits, as written in the tables of a card."""
    rows = [
        [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in card.splitlines()
    ]
    numbers: dict[str, str] = {}
    header: list[str] = []
    for row in rows:
        if not row:
            header = []
        elif not header:
            header = row
        elif header[0] == "number" and _is_number(row[1]):
            numbers[row[0].strip("`")] = row[1]
        elif header[0] == "class":
            for measure, text in zip(header[1:], row[1:], strict=True):
                if _is_number(text):
                    metric = _METRICS_OF_COLUMNS.get(measure, f"label_{measure}")
                    numbers[by_class(metric, row[0])] = text
    return numbers


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
