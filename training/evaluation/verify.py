"""Whether a card and its weights agree: every number measured again and laid beside the stated."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from model_store.spec import Manifest, Metric, ModelRef, TrainingRecord
from model_store.store import Store
from model_store.vae import build_vae
from training.config import Data
from training.data import loading
from training.data.loading import Splits
from training.errors import SettingError
from training.evaluation.evaluate import NLL_BY_MANY, Evaluation, Extent, evaluate
from training.publishing.release import judge_of

TOLERANCE_NATS = 0.02
"""Of numbers that were published without one."""


@dataclass(frozen=True)
class Check:
    """A stated number beside the one that was found; None where it was not found."""

    name: str
    unit: str
    stated: float
    found: float | None
    tolerance: float

    @property
    def difference(self) -> float | None:
        """Found minus stated."""
        return None if self.found is None else self.found - self.stated

    @property
    def agrees(self) -> bool:
        """Whether they are one number, up to the tolerance."""
        return self.difference is not None and abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Report:
    """All checks of a version, and what was not measured again."""

    manifest: Manifest
    checks: tuple[Check, ...]
    left_out: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether card and weights are one."""
        return all(check.agrees for check in self.checks)


def check(
    store: Store,
    ref: ModelRef,
    data_dir: Path,
    extent: Extent,
    *,
    device: torch.device,
    report: Callable[[str], None],
) -> Report:
    """Measure a version again; raises StoreError, and UsageError or DataError of the data.

    Checksums are verified first: a file that was changed is an error and not a difference.
    """
    store.verify(ref)
    stored = store.load(ref)
    if extent is Extent.FULL and NLL_BY_MANY in stored.manifest.metrics:
        extent = Extent.EXHAUSTIVE
    splits = load_splits(stored.manifest, data_dir, device)
    vae = build_vae(stored.spec, stored.weights).to(device)
    judge = judge_of(stored.manifest.training, vae)
    found = evaluate(
        vae, splits, extent, judge=judge, class_latents=stored.class_latents, report=report
    )
    return compare(stored.manifest, store.card(ref), found, extent)


def compare(manifest: Manifest, card: str, found: Evaluation, extent: Extent) -> Report:
    """The verdicts, from what is stated and what was found."""
    checks = [*_metrics(manifest.metrics, found, extent), *_latents(manifest, found)]
    checks += [*_sums(manifest), *_card(manifest.metrics, card)]
    names = {check.name for check in checks}
    left_out = tuple(name for name in manifest.metrics if name not in names)
    return Report(manifest, tuple(checks), left_out)


def load_splits(manifest: Manifest, data_dir: Path, device: torch.device) -> Splits:
    """The data that a version was trained and measured on, on the device."""
    splits = loading.load(_data(manifest.training), data_dir, manifest.spec)
    return replace(splits, train=splits.train.to(device), test=splits.test.to(device))


def _data(record: TrainingRecord) -> Data:
    try:
        return Data.model_validate(record.settings.get("data"))
    except ValidationError as error:
        raise SettingError(
            f"the manifest does not say which data of {record.dataset} it was trained on"
        ) from error


def _metrics(stated: Mapping[str, Metric], found: Evaluation, extent: Extent) -> Iterator[Check]:
    for name, metric in stated.items():
        again = found.metrics.get(name)
        if again is None and not extent.holds(Extent.FULL):
            continue
        tolerance = TOLERANCE_NATS if metric.tolerance is None else metric.tolerance
        value = None if again is None else again.value
        yield Check(name, metric.unit, metric.value, value, tolerance)


def _latents(manifest: Manifest, found: Evaluation) -> Iterator[Check]:
    """For each statistic the dimension that differs most."""
    if manifest.latents is None:
        return
    for name in ("kl_nats", "mean", "std"):
        stated, again = getattr(manifest.latents, name), getattr(found.latents, name)
        if len(stated) != len(again):
            yield Check(f"latents.{name}", "dimensions", len(stated), len(again), 0)
            continue
        worst = max(range(len(stated)), key=lambda d: abs(stated[d] - again[d]))
        tolerance = 0.002 + 0.001 * abs(stated[worst])
        unit = "nats" if name == "kl_nats" else "z"
        label = f"latents.{name}[{worst}]"
        yield Check(label, unit, stated[worst], again[worst], tolerance)


def _sums(manifest: Manifest) -> Iterator[Check]:
    """What the stated numbers must be together, whatever the weights."""
    value = {name: metric.value for name, metric in manifest.metrics.items()}
    in_u = manifest.spec.prior is not None  # there the KL of a dimension is that of a Gaussian
    if manifest.latents is not None and "test_kl" in value and not in_u:
        total = sum(manifest.latents.kl_nats)
        yield Check("sum of latents.kl_nats", "nats", value["test_kl"], total, TOLERANCE_NATS)
    if {"test_negative_elbo", "test_reconstruction", "test_kl"} <= value.keys():
        total = value["test_reconstruction"] + value["test_kl"]
        stated = value["test_negative_elbo"]
        yield Check("reconstruction + KL", "nats", stated, total, TOLERANCE_NATS)


def _card(stated: Mapping[str, Metric], card: str) -> Iterator[Check]:
    """The numbers in card.md that are not those of the manifest, or one line for all of them."""
    written = _written(card)
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


def _written(card: str) -> dict[str, str]:
    """Number -> its digits, as the tables of a card have them."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines()]
    found: dict[str, str] = {}
    header: list[str] = []
    for row in rows:
        if not row:
            header = []
        elif not header:
            header = row
        elif header[0] == "number" and _is_number(row[1]):
            found[row[0].strip("`")] = row[1]
        elif header[0] == "class":
            for measure, text in zip(header[1:], row[1:], strict=True):
                if _is_number(text):
                    found[f"label_{measure}[{row[0]}]"] = text
    return found


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None
