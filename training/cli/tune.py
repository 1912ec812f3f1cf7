"""`python -m training tune`."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli import options
from training.config import PRESETS, load_preset, parse_overrides, plain_name, preset_names
from training.devices import Device, choose_device, matmul_precision, prepare_torch
from training.errors import InterruptedRunError, SettingError, TuningError

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from training.tuning.search import Search, TrialDone

    Run = Callable[[Search, Callable[[TrialDone], None]], optuna.Study]


def tune(
    *,
    preset: Annotated[
        str, typer.Option(help="Preset to start from: a name, or the path of a .toml.")
    ],
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of the study in total, including earlier ones.")
    ] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs per trial.")] = 5,
    study: Annotated[
        str | None, typer.Option(help="Name of the study (default: the preset's).")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database of the study (default: SQLite in RUNS/tune/STUDY.db)."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File for the best preset (default: RUNS/tune/STUDY.toml)."),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of the trials and of the search.")
    ] = 0,
    device: options.WhichDevice = Device.AUTO,
    assignments: options.Assignments = None,
    threads: options.Threads = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Run trials in parallel on a Ray cluster: host:port, `auto` for the one that runs on "
            "this machine, or `local` to start one for this search.",
        ),
    ] = None,
) -> None:
    """Search for better settings of a preset: learning rate, batch size, schedule, width, latents.

    Trials are measured on a tenth of the training images that is held out, never on the test
    split. Trials that are worse than the median are stopped early. A study continues when the same
    command runs again, such as after Ctrl-C, with or without --ray. The best trial is written as a
    preset, which `train --preset` accepts by its path.
    """
    from model_store.durable_files import replace_durably
    from training.data import loading
    from training.fitting.compute_choice import choose_compute
    from training.fitting.trainer import initialise
    from training.settings import TrainingSettings
    from training.tuning import search as tuning

    if ray is not None and not (find_spec("ray") and find_spec("pyarrow")):
        raise SettingError("--ray needs a package that is missing: pip install 'ray[tune]'")
    cpu_threads = prepare_torch(threads)
    settings = TrainingSettings()
    name = study or plain_name(preset)
    folder = (runs_dir or settings.runs) / "tune"
    output = output or folder / f"{name}.toml"
    if output.resolve().parent == PRESETS and output.stem in preset_names():
        raise SettingError(f"--output {output} is a shipped preset; choose another path")
    start = load_preset(preset, parse_overrides(assignments or ()))
    torch_device = choose_device(device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TuningError(f"cannot write into {folder}: {error.strerror}") from error
    splits = loading.load(start.data, data_dir or settings.data_dir, start.model)
    splits = replace(splits, train=splits.train.to(torch_device), test=splits.test.to(torch_device))
    optimiser = start.optimiser.model_copy(update={"epochs": epochs})
    tuned = start.model_copy(update={"optimiser": optimiser})
    network = initialise(tuned.model, seed).to(torch_device)
    choice = choose_compute(tuned, network, splits.train, threads=cpu_threads, seed=seed)
    typer.echo(f"computing: {choice.reasons}", err=True)
    job = tuning.Search(
        preset_name=plain_name(preset),
        preset=tuned,
        splits=splits,
        trials=trials,
        storage=storage or tuning.default_storage(folder, name),
        study=name,
        seed=seed,
        compute=choice.compute,
    )
    with matmul_precision(choice.compute.matmul):
        finished = _search(job, _run_on(ray, folder, device, cpu_threads.number))
    best = tuning.best_preset(finished, job)
    best = best.model_copy(
        update={"optimiser": best.optimiser.model_copy(update={"epochs": start.optimiser.epochs})}
    )
    try:
        replace_durably(output, tuning.to_toml(best).encode())
        if figure := tuning.importance_figure(finished):
            replace_durably(output.with_suffix(".importance.png"), figure)
            typer.echo(f"importance of the settings: {output.with_suffix('.importance.png')}")
    except OSError as error:
        raise TuningError(f"cannot write {output}: {error.strerror}") from error
    typer.echo(f"best of {tuning.finished_trials(finished)} trials: {finished.best_value:.2f} nats")
    typer.echo(f"train it with: python -m training train --preset {output}")


def _run_on(address: str | None, folder: Path, device: Device, threads: int) -> "Run":
    """Return the function that runs a search, in this process or on a Ray cluster."""
    if address is None:
        from training.tuning.search import search

        return search

    from training.tuning.ray_search import Workers, search_on_ray

    workers = Workers(address, folder / "ray", device, threads)
    return lambda job, report: search_on_ray(job, workers, report)


def _search(job: "Search", run: "Run") -> "optuna.Study":
    from training.cli.trial_display import TrialDisplay
    from training.tuning import search as tuning

    with TrialDisplay(job.trials, tuning.finished_trials(tuning.open_study(job))) as display:
        try:
            return run(job, display)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; run the same command to continue the study {job.study}"
            ) from None
