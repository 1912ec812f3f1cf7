"""`python -m training republish`."""

from typing import Annotated

import typer

from training.cli import options
from training.devices import Device, choose_device, prepare_torch
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions, Storage


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
    threads: options.Threads = None,
) -> None:
    """Publish the weights of a version again as a new version, with new numbers and a new card.

    Adds numbers, figures and class statistics that the earlier version was published without.
    """
    from rich.console import Console

    from model_store.store import open_store
    from model_store.vae import build_vae
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
    torch_device = choose_device(device)
    splits = load_splits(stored.manifest, data_dir or settings.data_dir, torch_device)
    loss_curve = {f: models.figure(ref, f) for f in stored.manifest.figures if f == "loss"}
    stderr = Console(stderr=True)
    release = prepare_release(
        build_vae(stored.spec, stored.weights).to(torch_device),
        splits,
        stored.manifest.training,
        ReleaseOptions(level, storage, figures),
        other_figures=loss_curve,
        report=lambda stage: stderr.print(f"{ref}: {stage}", highlight=False),
    )
    manifest = release.publish(models, name or ref.name)
    path = models.root / manifest.name / str(manifest.version)
    typer.echo(f"published {manifest.ref} in {path}")
