"""Show a run in the terminal: a progress bar, and one line per epoch that also suits a log file."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from model_store.store import EXACT, WEIGHTS
from training.fitting.events import Averages, EpochDone, EpochProgress
from training.runs.events import Event, Measuring, Notice, Started
from training.runs.pipeline import Outcome


class RunDisplay:
    """A progress bar over all epochs; call it with each event."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None
        self.images = 0

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Started():
                self._start(event)
            case EpochProgress() if self.task is not None:
                done = (event.epoch - 1) * self.images + event.images
                numbers = f"{_averages(event.averages)}  {event.images_per_s:,.0f} images/s"
                self.bar.update(self.task, completed=done, epoch=event.epoch, numbers=numbers)
            case Notice():
                self._line(event.text)
            case Measuring():
                self._line(f"measuring: {event.stage}")
            case EpochDone():
                self._line(
                    f"epoch {event.epoch:3d}  train {_averages(event.train)}  "
                    f"test {_averages(event.test)}  {event.images_per_s:,.0f} images/s"
                )

    def _start(self, event: Started) -> None:
        self.images = event.images
        self.task = self.bar.add_task(
            "training",
            total=event.images * event.epochs,
            completed=event.images * event.epochs_done,
            epoch=min(event.epochs_done + 1, event.epochs),
            epochs=event.epochs,
            numbers="",
        )
        done = f", {event.epochs_done} of them done" if event.epochs_done else ""
        self._line(
            f"{event.images:,} images of {event.dataset}, {event.weights:,} weights, "
            f"{event.epochs} epochs on {event.device}{done}; nats per image"
        )

    def _line(self, text: str) -> None:
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
