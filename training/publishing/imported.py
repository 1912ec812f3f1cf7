"""Measure a version that was imported, on the data that a user names, and publish it with the result.

Graphs of ONNX stay as they are. A version of layers that the store has is also quantised, so that it is
published in the exact arithmetic.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from model_store.spec import Manifest, ModelSpec, Onnx, TrainingRecord
from model_store.store import Store, StoredModel
from model_store.vae import build_vae
from training.classifier.model import judge_for
from training.config import Data
from training.data import loading
from training.data.images import Splits
from training.errors import UsageError
from training.evaluation.evaluate import evaluate
from training.evaluation.served import served_vae
from training.publishing.options import ReleaseOptions
from training.publishing.provenance import libraries
from training.publishing.release import Release, complete_release, prepare_release


def data_of(name: str) -> Data:
    """Return the data set of a name, such as `mnist`, or of the folder of that path."""
    if name in {"mnist", "fashion-mnist"}:
        return Data.model_validate({"dataset": name})
    if not Path(name).is_dir():
        raise UsageError(f"--data {name} is neither mnist nor fashion-mnist nor a folder of images")
    return Data(dataset="folder", folder=name)


def measure_and_publish(
    store: Store,
    stored: StoredModel,
    data: Data,
    data_dir: Path,
    options: ReleaseOptions,
    *,
    device: torch.device,
    report: Callable[[str], None],
) -> Manifest:
    """Publish the next version: the same network, measured on a data set.

    Raises UsageError if the version was measured already, DataError, StoreError.
    """
    manifest = stored.manifest
    if manifest.metrics:
        raise UsageError(
            f"{manifest.ref} has numbers, on {manifest.training.dataset}; --data is for imported "
            "versions, which have none"
        )
    splits = loading.load(data, data_dir, stored.spec)
    splits = replace(splits, train=splits.train.to(device), test=splits.test.to(device))
    release = _release(stored, splits, _record(manifest, data, splits), options, device, report)
    return release.publish(store, manifest.name)


def _release(  # noqa: PLR0917 - the parts of one measurement
    stored: StoredModel,
    splits: Splits,
    record: TrainingRecord,
    options: ReleaseOptions,
    device: torch.device,
    report: Callable[[str], None],
) -> Release:
    if not _is_graphs(stored.spec):
        vae = build_vae(stored.spec, stored.weights).to(device)
        return prepare_release(vae, splits, record, options, report=report)
    served = served_vae(stored, device)
    judge = judge_for(record, served, splits.classes)
    evaluation = evaluate(served, splits, options.level, judge=judge, report=report)
    release = complete_release(served, splits, record, options, evaluation, judge, report=report)
    return replace(release, weights=stored.weights)


def _record(manifest: Manifest, data: Data, splits: Splits) -> TrainingRecord:
    """Return the record of the import, with the data that the version is measured on."""
    before = manifest.training
    settings = before.settings | {"data": data.model_dump(mode="json")}
    used = {"dataset": splits.title, "settings": settings}
    return before.model_copy(update=used | {"libraries": libraries() | before.libraries})


def _is_graphs(spec: ModelSpec) -> bool:
    return isinstance(spec.network, Onnx)
