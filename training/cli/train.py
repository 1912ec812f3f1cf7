"""`python -m training train`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model_store.store import open_store
from training.cli import options
from training.cli.progress import Display, metrics_table
from training.config import load_preset, parse_overrides, plain_name
from training.errors import InterruptedRunError
from training.evaluation.evaluate import Extent
from training.publishing.release import Figures, Plan, Storage
from training.runs import checkpoint, pipeline
from training.runs.pipeline import Device, Job
from training.settings import Settings


def train(
    *,
    preset: Annotated[
        str, typer.Option(help="What to train: a name, see `presets`, or the path of a .toml.")
    ],
    data_dir: options.DataDir = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the preset's number.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of weights, order of images, and noise.")
    ] = 0,
    device: options.WhichDevice = Device.AUTO,
    name: Annotated[
        str | None, typer.Option(help="Name in the store and of the run (default: the preset's).")
    ] = None,
    store: options.StoreFolder = None,
    runs_dir: options.RunsDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of this run.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away an unfinished run of this name.")
    ] = False,
    assignments: options.Assignments = None,
    figures: options.WhichFigures = Figures.ALL,
    evaluation: options.WhichEvaluation = Extent.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    threads: options.Threads = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set where it is missing.")
    ] = False,
    tensorboard: Annotated[bool, typer.Option(help="Log for TensorBoard.")] = True,
) -> None:
    """Train a preset, measure it on the test split, and publish a new version.

    Each epoch leaves a checkpoint in RUNS/NAME, beside history.csv and the logs for
    `tensorboard --logdir RUNS`. The last two checkpoints stay there after publishing, so that
    `publish RUNS/NAME` can measure and publish again without training; the next run of that name
    replaces them.
    """
    if resume and restart:
        raise typer.BadParameter("--resume and --restart exclude each other")
    overrides = parse_overrides(assignments or ())
    if epochs is not None:
        overrides["optimiser.epochs"] = epochs
    options.prepare_torch(threads)
    settings = Settings()
    name = name or plain_name(preset)
    publish_into(
        Job(
            preset_name=plain_name(preset),
            preset=load_preset(preset, overrides),
            data_dir=data_dir or settings.data_dir,
            store=open_store(store or settings.store),
            name=name,
            folder=(runs_dir or settings.runs) / name,
            seed=seed,
            device=device,
            plan=Plan(evaluation, storage, figures),
            download=download,
            resume=resume,
            restart=restart,
            tensorboard=tensorboard,
        )
    )


def publish_into(job: Job) -> None:
    """Run a job before the eyes of a person."""
    try:
        with Display(Console(stderr=True)) as display:
            outcome = pipeline.train(job, display)
    except KeyboardInterrupt:
        raise InterruptedRunError(_what_is_left(job.folder)) from None
    Console().print(metrics_table(outcome))
    manifest = outcome.manifest
    path: Path = job.store.root / manifest.name / str(manifest.version)
    typer.echo(f"published {manifest.ref} in {path}")


def _what_is_left(folder: Path) -> str:
    progress = checkpoint.peek(folder)
    if progress is None:
        return "interrupted; nothing was published"
    if progress.published:
        return f"interrupted; {progress.published} was published"
    return f"interrupted; nothing was published; go on from epoch {progress.epoch} with --resume"
