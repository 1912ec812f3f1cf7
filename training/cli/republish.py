"""`python -m training republish`."""

from typing import Annotated

import typer
from rich.console import Console

from model_store.store import open_store
from model_store.vae import build_vae
from training.cli import options
from training.evaluation.evaluate import Extent
from training.evaluation.verify import load_splits
from training.publishing.provenance import check_destination
from training.publishing.release import Figures, Plan, Storage, prepare
from training.runs.pipeline import Device, choose_device
from training.settings import Settings


def republish(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="A version, or an alias, of the store.")
    ],
    *,
    data_dir: options.DataDir = None,
    store: options.StoreFolder = None,
    name: Annotated[str | None, typer.Option(help="Name in the store (default: the same).")] = None,
    device: options.WhichDevice = Device.CPU,
    figures: options.WhichFigures = Figures.ALL,
    evaluation: options.WhichEvaluation = Extent.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    threads: options.Threads = None,
) -> None:
    """Measure the weights of a version and publish them as a new one, with a new card.

    For numbers, figures and statistics of classes that a version was published without.
    """
    options.prepare_torch(threads)
    settings = Settings()
    models = open_store(store or settings.store)
    ref = options.resolve(models, reference)
    check_destination(models, name or ref.name)
    stored = models.load(ref)
    where = choose_device(device)
    splits = load_splits(stored.manifest, data_dir or settings.data_dir, where)
    kept = {f: models.figure(ref, f) for f in stored.manifest.figures if f == "loss"}
    stderr = Console(stderr=True)
    version = prepare(
        build_vae(stored.spec, stored.weights).to(where),
        splits,
        stored.manifest.training,
        Plan(evaluation, storage, figures),
        other_figures=kept,
        report=lambda stage: stderr.print(f"{ref}: {stage}", highlight=False),
    )
    manifest = version.publish(models, name or ref.name)
    path = models.root / manifest.name / str(manifest.version)
    typer.echo(f"published {manifest.ref} in {path}")
