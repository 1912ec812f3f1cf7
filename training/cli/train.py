"""`python -m training train`."""

from pathlib import Path
from typing import Annotated

import typer

from training.cli import options
from training.config import load_preset, parse_overrides, plain_name, preset_names
from training.devices import Device, choose_device, prepare_torch
from training.errors import UsageError
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions, Storage


def train(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="Folder of images to train on; without --preset, settings are chosen for it.",
        ),
    ] = None,
    *,
    preset: Annotated[
        str | None,
        typer.Option(help="What to train: a name from `presets`, or the path of a .toml."),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=256,
            help="Longer side of the images of a model of FOLDER (default: up to 64).",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Time to train on FOLDER (default: as its images need, at most 30).",
        ),
    ] = None,
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
    level: options.OptionalLevel = None,
    storage: options.WhichStorage = Storage.FLOAT32,
    threads: options.Threads = None,
    best: options.Best = None,
    download: Annotated[
        bool, typer.Option("--download", help="Download the data set if it is missing.")
    ] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write logs for TensorBoard.")] = True,
) -> None:
    """Train a preset or on a folder, measure on the test split, and publish a new version.

    `train FOLDER` looks at the images, measures the speed of this machine, and chooses every
    setting; it prints what it chose and why. `--set` changes single keys of that choice.

    Each epoch writes a checkpoint into RUNS/NAME, a line of history.csv, and logs for
    `tensorboard --logdir RUNS`. samples.png and reconstructions.png beside them show what is learnt,
    from the first minute on. The last two checkpoints and the best are kept after publishing, so
    that `publish RUNS/NAME` can measure and publish again without training. The next run of that
    name replaces them.
    """
    from model_store.store import open_store
    from training.cli.planning import Chosen, model_name, planned
    from training.cli.run_and_show import run_and_show
    from training.fitting.data_parallel import is_started_by_torchrun
    from training.planning.plan import Wishes
    from training.runs.job import Job
    from training.settings import TrainingSettings

    if resume and restart:
        raise typer.BadParameter("--resume and --restart exclude each other")
    if folder is not None and data_dir is not None:
        raise typer.BadParameter("give the images by FOLDER or by --data-dir, not by both")
    overrides = parse_overrides(assignments or ())
    if epochs is not None:
        overrides["optimiser.epochs"] = epochs
    cpu_threads = prepare_torch(threads)
    settings = TrainingSettings()
    if preset is None and is_started_by_torchrun():
        raise UsageError(
            "torchrun: name a --preset; settings for a folder are those of one process"
        )
    if preset is None:
        name = name or model_name(_the_folder(folder))
        run = (runs_dir or settings.runs) / name
        wishes = Wishes(size, minutes, overrides)
        chosen = planned(
            _the_folder(folder),
            wishes,
            choose_device(device),
            run,
            threads=cpu_threads,
            resume=resume,
        )
    else:
        if size is not None or minutes is not None:
            raise typer.BadParameter("--size and --minutes plan a folder; leave out --preset")
        name = name or plain_name(preset)
        run = (runs_dir or settings.runs) / name
        chosen = Chosen(plain_name(preset), load_preset(preset, overrides), EvaluationLevel.FULL)
    run_and_show(
        Job(
            preset_name=chosen.preset_name,
            preset=chosen.preset,
            data_dir=data_dir or folder or settings.data_dir,
            store=open_store(store or settings.store),
            name=name,
            folder=run,
            seed=seed,
            device=device,
            threads=cpu_threads,
            release=ReleaseOptions(
                level or chosen.level, storage, figures, float_weights=chosen.float_weights
            ),
            download=download,
            resume=resume,
            restart=restart,
            tensorboard=tensorboard,
            best=best,
        )
    )


def _the_folder(folder: Path | None) -> Path:
    """Return the folder to train on; raises UsageError if there is none."""
    if folder is None:
        raise UsageError(
            "what to train? give a folder of images, as in `train my/images`, or --preset with one "
            f"of {', '.join(preset_names())}"
        )
    return folder
