"""Show a run: progress bars in a terminal, else a line every half a minute; a line per epoch."""

import threading
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

from model_store.store import EXACT, WEIGHTS
from training.cli.time_left import StageClock, TimeLeft, duration
from training.fitting.events import Averages, EpochDone, EpochProgress
from training.runs.events import Event, Measuring, Notice, StageProgress, Started
from training.runs.pipeline import Outcome

SILENCE_S = 30.0
"""Longest time (s) without a line if the output is not a terminal."""


class RunDisplay:
    """Progress of a run; call it with each event.

    In a terminal there is a bar for the epoch, one for the run and one for the stage of measuring.
    Elsewhere a line repeats the same numbers after SILENCE_S without another line.
    """

    def __init__(self, console: Console, silence_s: float = SILENCE_S) -> None:
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self.epoch_bar: TaskID | None = None
        self.run_bar: TaskID | None = None
        self.stage_bar: TaskID | None = None
        self.images = 0
        self.epochs = 0
        self.time_left: TimeLeft | None = None
        self.stage: StageClock | None = None
        self.stage_name = ""
        self.status = "reading the images"
        self.silence_s = silence_s
        self._ended = threading.Event()
        self._printed = threading.Event()
        self._speaker = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> Self:
        self.bars.start()
        if not self.console.is_terminal:
            self._speaker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._speaker.is_alive():
            self._speaker.join()
        self.bars.stop()

    def _speak(self) -> None:
        """Print the status whenever nothing was printed for `silence_s`."""
        while not self._ended.wait(self.silence_s):
            if not self._printed.is_set():
                self.console.print(self._status(), highlight=False, soft_wrap=True)
            self._printed.clear()

    def _status(self) -> str:
        stage = self.stage
        return f"{self.status}: {stage.text()}" if stage else self.status

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started():
                self._start(event)
            case EpochProgress():
                self._show_epoch(event)
            case StageProgress():
                self._show_stage(event.fraction)
            case Notice():
                self._line(event.text)
            case Measuring():
                self._line(f"measuring: {event.stage}")
                self.stage_name = self.status = f"measuring: {event.stage}"
                self.stage = StageClock()
                self._show_stage(0.0)
            case EpochDone():
                if self.time_left:
                    self.time_left.finish_epoch()
                self._line(
                    f"epoch {event.epoch:3d}  train {_averages(event.train)}  "
                    f"test {_averages(event.test)}  {event.images_per_s:,.0f} images/s"
                )

    def _start(self, event: Started) -> None:
        self.images, self.epochs = event.images * event.passes, event.epochs
        self.time_left = TimeLeft(self.images, event.epochs)
        done = f", {event.epochs_done} of them done" if event.epochs_done else ""
        each = f" of {event.passes} passes" if event.passes > 1 else ""
        self._line(
            f"{event.images:,} images of {event.dataset}, {event.weights:,} weights, "
            f"{event.epochs} epochs{each} on {event.device}{done}; nats per image"
        )
        if event.epochs_done < event.epochs:
            self.status = f"epoch {event.epochs_done + 1}/{event.epochs}"
            self.epoch_bar = self.bars.add_task(self.status, total=self.images, numbers="")
            self.run_bar = self.bars.add_task(
                "run",
                total=self.images * event.epochs,
                completed=self.images * event.epochs_done,
                numbers="",
            )

    def _show_epoch(self, event: EpochProgress) -> None:
        if self.time_left is None or self.epoch_bar is None or self.run_bar is None:
            return
        self.stage = None
        name = f"epoch {event.epoch}/{self.epochs}"
        speed = f"{event.images_per_s:,.0f} images/s"
        left = duration(self.time_left.of_epoch(event))
        run_left = duration(self.time_left.of_run(event))
        self.status = (
            f"{name}  {100 * event.images / self.images:.0f} %  {_averages(event.averages)}  "
            f"{speed}  left: {left} of the epoch, {run_left} of the run"
        )
        self.bars.update(
            self.epoch_bar,
            description=name,
            completed=event.images,
            numbers=f"{_averages(event.averages)}  {speed}  {left} left",
        )
        done = (event.epoch - 1) * self.images + event.images
        self.bars.update(self.run_bar, completed=done, numbers=f"{run_left} left")
        if event.images == self.images:
            self.stage, self.stage_name = StageClock(), "test"
            self.status = f"{name}  measuring the test split"

    def _show_stage(self, fraction: float) -> None:
        if self.stage is None:
            return
        self.stage.update(fraction)
        if self.stage_bar is None:
            self.stage_bar = self.bars.add_task(self.stage_name, total=1.0, numbers="")
        self.bars.update(
            self.stage_bar,
            description=self.stage_name,
            completed=fraction,
            numbers=self.stage.text(),
        )

    def _line(self, text: str) -> None:
        self._printed.set()
        self.console.print(text, highlight=False, soft_wrap=True)


def metrics_table(outcome: Outcome) -> Table:
    """Tabulate the published numbers and the cost of training."""
    manifest = outcome.manifest
    table = Table("number", "value", "unit", title=str(manifest.ref), title_justify="left")
    for name, metric in manifest.metrics.items():
        if "[" not in name:  # numbers of single classes are in the card
            digits = 2 if abs(metric.value) >= 2 else 4
            table.add_row(name, f"{metric.value:.{digits}f}", metric.unit)
    training = manifest.training
    table.add_row("training time", f"{training.duration_s:.1f}", "s")
    table.add_row("training speed", f"{outcome.images_per_s:,.0f}", "images/s")
    table.add_row("peak memory", f"{outcome.peak_bytes / 1e6:,.0f}", "MB")
    network = manifest.files[WEIGHTS if manifest.arithmetic == "float" else EXACT]
    table.add_row("arithmetic", manifest.arithmetic, "")
    table.add_row("weights", f"{network.size_bytes / 1e6:.2f}", "MB")
    return table


def _averages(averages: Averages) -> str:
    return (
        f"loss {averages.loss:.2f}  reconstruction {averages.reconstruction:.2f}  "
        f"KL {averages.kl:.2f}"
    )
