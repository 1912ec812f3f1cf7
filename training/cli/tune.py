"""`python -m training tune`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.cli import options
from training.config import PRESETS, load_preset, parse_overrides, plain_name, preset_names
from training.data import loading
from training.errors import InterruptedRunError, SettingError, TuningError
from training.runs.checkpoint import write_atomically
from training.runs.pipeline import Device, choose_device
from training.settings import Settings
from training.tuning import search as tuning


def tune(
    *,
    preset: Annotated[
        str, typer.Option(help="Where the search starts: a name, or the path of a .toml.")
    ],
    trials: Annotated[
        int, typer.Option(min=1, help="Of the study in all; those that it already has count.")
    ] = 20,
    epochs: Annotated[int, typer.Option(min=1, help="Of each trial.")] = 5,
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
        typer.Option(help="Where to write the best preset (default: RUNS/tune/STUDY.toml)."),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of trials and search.")] = 0,
    device: options.WhichDevice = Device.AUTO,
    assignments: options.Assignments = None,
    threads: options.Threads = None,
) -> None:
    """Search better settings of a preset: rate, batches, schedule, width, latents.

    Trials are measured on a tenth of the training images that is held out, never on the test
    split; those worse than the median are given up. The study survives Ctrl-C: the same command
    goes on. The best trial becomes a preset, which `train --preset` takes by its path.
    """
    options.prepare_torch(threads)
    settings = Settings()
    name = study or plain_name(preset)
    folder = (runs_dir or settings.runs) / "tune"
    output = output or folder / f"{name}.toml"
    if output.resolve().parent == PRESETS and output.stem in preset_names():
        raise SettingError(f"--output {output} is a preset that there is; choose another name")
    start = load_preset(preset, parse_overrides(assignments or ()))
    where = choose_device(device)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TuningError(f"cannot write into {folder}: {error.strerror}") from error
    splits = loading.load(start.data, data_dir or settings.data_dir, start.model)
    optimiser = start.optimiser.model_copy(update={"epochs": epochs})
    job = tuning.Search(
        preset_name=plain_name(preset),
        preset=start.model_copy(update={"optimiser": optimiser}),
        splits=replace(splits, train=splits.train.to(where), test=splits.test.to(where)),
        trials=trials,
        storage=storage or tuning.default_storage(folder, name),
        study=name,
        seed=seed,
    )
    with _Report(trials, tuning.ended(tuning.open_study(job))) as report:
        try:
            found = tuning.search(job, report)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                f"interrupted; the study {name} goes on with the same command"
            ) from None
    best = tuning.best_preset(found, job)
    best = best.model_copy(
        update={"optimiser": best.optimiser.model_copy(update={"epochs": start.optimiser.epochs})}
    )
    try:
        write_atomically(output, tuning.to_toml(best).encode())
        if figure := tuning.importance_figure(found):
            write_atomically(output.with_suffix(".importance.png"), figure)
            typer.echo(f"importance of the settings: {output.with_suffix('.importance.png')}")
    except OSError as error:
        raise TuningError(f"cannot write {output}: {error.strerror}") from error
    typer.echo(f"best of {tuning.ended(found)} trials: {found.best_value:.2f} nats")
    typer.echo(f"train it with: python -m training train --preset {output}")


class _Report:
    """A bar over the trials, and a line for each."""

    def __init__(self, trials: int, behind: int) -> None:
        console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.console = console
        self.task = self.bar.add_task("trials", total=trials, completed=behind, best="")

    def __enter__(self) -> Callable[[tuning.TrialDone], None]:
        self.bar.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def _show(self, done: tuning.TrialDone) -> None:
        value = "" if done.value is None else f"{done.value:.2f} nats"
        chosen = ", ".join(f"{key} {_short(value)}" for key, value in done.settings.items())
        line = f"trial {done.number:3d}  {done.state:8}  {value:>12}  {chosen}"
        self.console.print(line, highlight=False, soft_wrap=True)
        best = "" if done.best is None else f"best {done.best:.2f} nats"
        self.bar.update(self.task, advance=1, best=best)


def _short(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
