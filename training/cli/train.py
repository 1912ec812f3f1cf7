"""`python -m training train`."""

from typing import Annotated

import typer

from training.cli import options
from training.config import load_preset, parse_overrides, plain_name
from training.devices import Device, prepare_torch
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions, Storage


def train(
    *,
    preset: Annotated[
        str,
        typer.Option(help="What to train: a name from `presets`, or the path of a .toml."),
    ],
    data_dir: options.DataDir = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs (default: the preset's).")
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=2**32 - 1, help="Seed of initial weights, order of images, and noise."
        ),
    ] = 0,
    device: options.WhichDevice = Device.AUTO,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the model and of the run's folder (default: the preset's)."),
    ] = None,
    store: options.StoreFolder = None,
    runs_dir: options.RunsDir = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the last checkpoint of this run.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Discard an unfinished run of this name.")
    ] = False,
    assignments: options.Assignments = None,
    figures: options.WhichFigures = Figures.ALL,
    level: options.Level = EvaluationLevel.FULL,
    storage: options.WhichStorage = Storage.FLOAT32,
    threads: options.Threads = None,
    best: options.Best = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download the data set if it is missing.")
    ] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write logs for TensorBoard.")] = True,
) -> None:
    """Train a preset, measure it on the test split, and publish a new version.

    Each epoch writes a checkpoint into RUNS/NAME, a line of history.csv, and logs for
    `tensorboard --logdir RUNS`. samples.png and reconstructions.png beside them show what is learnt,
    from the first minute on. The last two checkpoints and the best are kept after publishing, so
    that `publish RUNS/NAME` can measure and publish again without training. The next run of that
    name replaces them.
    """
    from model_store.store import open_store
    from training.cli.run_and_show import run_and_show
    from training.runs.job import Job
    from training.settings import TrainingSettings

    if resume and restart:
        raise typer.BadParameter("--resume and --restart exclude each other")
    overrides = parse_overrides(assignments or ())
    if epochs is not None:
        overrides["optimiser.epochs"] = epochs
    cpu_threads = prepare_torch(threads)
    settings = TrainingSettings()
    name = name or plain_name(preset)
    run_and_show(
        Job(
            preset_name=plain_name(preset),
            preset=load_preset(preset, overrides),
            data_dir=data_dir or settings.data_dir,
            store=open_store(store or settings.store),
            name=name,
            folder=(runs_dir or settings.runs) / name,
            seed=seed,
            device=device,
            threads=cpu_threads,
            release=ReleaseOptions(level, storage, figures),
            download=download,
            resume=resume,
            restart=restart,
            tensorboard=tensorboard,
            best=best,
        )
    )
