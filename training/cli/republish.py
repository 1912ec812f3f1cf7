"""`python -m training republish`."""

from typing import TYPE_CHECKING, Annotated

import typer

from training.cli import options
from training.devices import Device, choose_device, prepare_torch
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions, Storage

if TYPE_CHECKING:
    from model_store.snapshots import Snapshots
    from model_store.spec import Manifest, Metric, ModelRef
    from model_store.store import Store


def republish(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="A version, or an alias, in the store.")
    ],
    *,
    data_dir: options.DataDir = None,
    store: options.StoreFolder = None,
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the same).")] = None,
    device: options.WhichDevice = Device.CPU,
    figures: options.WhichFigures = Figures.ALL,
    level: options.Level = EvaluationLevel.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    arithmetic: options.WhichArithmetic = options.ArithmeticName.EXACT,
    without_float_weights: options.WithoutFloatWeights = False,
    threads: options.Threads = None,
) -> None:
    """Publish the float weights of a version again as a new version, with new numbers and card.

    The new version computes in the exact arithmetic, which is made of the float weights without
    training them again. Numbers, figures and class statistics are measured anew.
    """
    from rich.console import Console

    from model_store.errors import FloatWeightsNotFoundError
    from model_store.store import open_store
    from model_store.vae import build_vae
    from training.cli.run_and_show import show_warnings
    from training.errors import UsageError
    from training.evaluation.verify import load_splits
    from training.publishing.destination import check_destination
    from training.publishing.release import prepare_release
    from training.settings import TrainingSettings

    prepare_torch(threads)
    settings = TrainingSettings()
    models = open_store(store or settings.store)
    ref = options.resolve(models, reference)
    check_destination(models, name or ref.name)
    stored = models.load(ref)
    try:
        weights = models.float_weights(ref)
    except FloatWeightsNotFoundError as error:
        raise UsageError(str(error)) from error
    torch_device = choose_device(device)
    splits = load_splits(stored.manifest, data_dir or settings.data_dir, torch_device)
    loss_curve = {f: models.figure(ref, f) for f in stored.manifest.figures if f == "loss"}
    stderr = Console(stderr=True)
    release = prepare_release(
        build_vae(stored.spec, weights).to(torch_device),
        splits,
        stored.manifest.training,
        ReleaseOptions(
            level, storage, figures, arithmetic.value, float_weights=not without_float_weights
        ),
        other_figures=loss_curve,
        float_numbers=_float_numbers(stored.manifest),
        snapshots=_snapshots(models, ref),
        report=lambda stage: stderr.print(f"{ref}: {stage}", highlight=False),
    )
    manifest = release.publish(models, name or ref.name)
    show_warnings(manifest)
    typer.echo(f"published {manifest.ref} in {models.place(manifest.ref)}")


def _snapshots(models: "Store", ref: "ModelRef") -> "Snapshots | None":
    """Return the snapshots of the training of a version, which stays the same; None if it has none."""
    from model_store.errors import SnapshotsNotFoundError
    from model_store.snapshots import from_bytes
    from model_store.store import SNAPSHOTS

    try:
        return from_bytes(models.file(ref, SNAPSHOTS))
    except SnapshotsNotFoundError:
        return None


def _float_numbers(manifest: "Manifest") -> "dict[str, Metric]":
    """Return the metrics of the float weights in the manifest of an earlier version."""
    from training.evaluation import float_metrics

    if manifest.arithmetic == "float":
        return float_metrics.named(manifest.metrics)
    return {k: m for k, m in manifest.metrics.items() if k.startswith(float_metrics.PREFIX)}
