"""`python -m training publish`."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli import options
from training.devices import Device, prepare_torch
from training.errors import RunError
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions, Storage
from training.suggestions import advice


def publish(
    folder: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="Folder of a finished run, such as runs/lab."),
    ],
    *,
    data_dir: options.DataDir = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model (default: the folder's).")
    ] = None,
    store: options.StoreFolder = None,
    figures: options.WhichFigures = Figures.ALL,
    level: options.Level = EvaluationLevel.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    without_float_weights: options.WithoutFloatWeights = False,
    threads: options.Threads = None,
    best: options.Best = None,
) -> None:
    """Measure, draw and publish a finished run from its last checkpoint, without training."""
    from model_store.store import open_store
    from training.cli.run_and_show import run_and_show
    from training.runs import checkpoint
    from training.runs.job import Job
    from training.settings import TrainingSettings

    prepare_torch(threads)
    settings = TrainingSettings()
    state = checkpoint.peek(folder)
    if state is None:
        raise RunError(f"no checkpoint in {folder}; {_runs_beside(folder)}")
    if not state.finished:
        raise RunError(
            f"{folder} is at epoch {state.epoch} of {state.preset.optimiser.epochs}; "
            "finish it with train --resume"
        )
    run_and_show(
        Job(
            preset_name=state.preset_name,
            preset=state.preset,
            data_dir=data_dir or settings.data_dir,
            store=open_store(store or settings.store),
            name=name or folder.resolve().name,
            folder=folder,
            seed=state.seed,
            device=Device(state.device),
            release=ReleaseOptions(
                level, storage, figures, float_weights=not without_float_weights
            ),
            resume=True,
            best=best,
        )
    )


def _runs_beside(folder: Path) -> str:
    """Suggest runs in the parent folder."""
    from training.runs import checkpoint

    parent = folder.parent
    beside = parent.iterdir() if parent.is_dir() else ()
    runs = [str(each) for each in sorted(beside) if checkpoint.peek(each) is not None]
    return advice(str(folder), runs, "give the folder of a run, such as runs/lab")
