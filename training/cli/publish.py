"""`python -m training publish`."""

from pathlib import Path
from typing import Annotated

import typer

from model_store.store import open_store
from training.cli import options
from training.cli.train import publish_into
from training.errors import RunError
from training.evaluation.evaluate import Extent
from training.publishing.release import Figures, Plan, Storage
from training.runs import checkpoint
from training.runs.pipeline import Device, Job
from training.settings import Settings


def publish(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="Folder of a finished run, as runs/lab.")
    ],
    *,
    data_dir: options.DataDir = None,
    name: Annotated[
        str | None, typer.Option(help="Name in the store (default: the folder's).")
    ] = None,
    store: options.StoreFolder = None,
    figures: options.WhichFigures = Figures.ALL,
    evaluation: options.WhichEvaluation = Extent.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    threads: options.Threads = None,
) -> None:
    """Measure, draw and publish a finished run from its last checkpoint, without training."""
    options.prepare_torch(threads)
    settings = Settings()
    progress = checkpoint.peek(folder)
    if progress is None:
        raise RunError(f"no checkpoint in {folder}; name the folder of a run, such as runs/lab")
    if not progress.finished:
        raise RunError(
            f"{folder} is at epoch {progress.epoch} of {progress.preset.optimiser.epochs}; "
            "finish it with train --resume"
        )
    publish_into(
        Job(
            preset_name=progress.preset_name,
            preset=progress.preset,
            data_dir=data_dir or settings.data_dir,
            store=open_store(store or settings.store),
            name=name or folder.resolve().name,
            folder=folder,
            seed=progress.seed,
            device=Device(progress.device),
            plan=Plan(evaluation, storage, figures),
            resume=True,
        )
    )
