"""Show a search in the terminal: a progress bar over the trials, and one line per trial."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training.tuning.search import TrialDone


class TrialDisplay:
    """A progress bar over the trials; call it with each finished trial."""

    def __init__(self, trials: int, done: int) -> None:
        self.console = Console(stderr=True)
        self.bar = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[best]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("trials", total=trials, completed=done, best="")

    def __enter__(self) -> Self:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, trial: TrialDone) -> None:
        """Show a trial."""
        value = "" if trial.value is None else f"{trial.value:.2f} nats"
        chosen = ", ".join(f"{key} {_short(value)}" for key, value in trial.settings.items())
        line = f"trial {trial.number:3d}  {trial.state:8}  {value:>12}  {chosen}"
        self.console.print(line, highlight=False, soft_wrap=True)
        best = "" if trial.best is None else f"best {trial.best:.2f} nats"
        self.bar.update(self.task, advance=1, best=best)


def _short(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, float) else str(value)
