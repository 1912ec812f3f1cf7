import io
import threading

import pytest
from rich.console import Console

from training.cli.run_display import RunDisplay
from training.cli.time_left import StageClock, TimeLeft, duration
from training.fitting.events import Averages, EpochDone, EpochProgress
from training.runs.events import Measuring, Notice, StageProgress, Started

AVERAGES = Averages(loss=3.0, reconstruction=2.0, kl=1.0)
STARTED = Started("shapes", images=1000, epochs=3, weights=10, device="cpu")


class Output(io.StringIO):
    """A text stream that tells when a line with some words was written."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words
        self.seen = threading.Event()

    def write(self, text: str, /) -> int:
        written = super().write(text)
        if self.words in self.getvalue():
            self.seen.set()
        return written


class Clock:
    """A clock that a test sets."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_outside_of_a_terminal_a_line_says_how_far_the_epoch_is():
    output = Output("left:")
    with RunDisplay(Console(file=output), silence_s=0.01) as display:
        display(STARTED)
        display(EpochProgress(1, 250, AVERAGES, images_per_s=50.0))
        assert output.seen.wait(60)
    line = next(line for line in output.getvalue().splitlines() if "left:" in line)
    assert line.startswith("epoch 1/3  25 %")
    assert "50 images/s  left: 0:15 of the epoch, 0:55 of the run" in line


def test_outside_of_a_terminal_a_line_says_how_far_a_stage_of_measuring_is():
    output = Output("NLL: 40 %")
    with RunDisplay(Console(file=output), silence_s=0.01) as display:
        display(Measuring("NLL"))
        display(StageProgress(0.4))
        assert output.seen.wait(60)


def test_nothing_is_repeated_while_other_lines_are_printed():
    output = Output("")
    with RunDisplay(Console(file=output), silence_s=1000) as display:
        display(STARTED)
        display(EpochProgress(1, 250, AVERAGES, images_per_s=50.0))
        display(EpochDone(1, AVERAGES, AVERAGES, 50.0))
        display(Notice("a notice"))
    first, *others = output.getvalue().splitlines()
    assert first.startswith("1,000 images of shapes")
    assert [line[:8] for line in others] == ["epoch   ", "a notice"]


def test_a_terminal_shows_bars_for_epoch_run_and_measuring():
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=160)
    with RunDisplay(console) as display:
        display(STARTED)
        display(EpochProgress(2, 500, AVERAGES, images_per_s=50.0))
        display(StageProgress(0.5))  # nothing is being measured: no third bar
        assert [task.description for task in display.bars.tasks] == ["epoch 2/3", "run"]
        assert [task.percentage for task in display.bars.tasks] == [50.0, 50.0]
        assert [task.fields["numbers"][-9:] for task in display.bars.tasks] == [
            "0:10 left",
            "0:30 left",
        ]
        display(EpochProgress(2, 1000, AVERAGES, images_per_s=50.0))
        display(StageProgress(0.25))
        *_, stage = display.bars.tasks
        assert (stage.description, stage.percentage) == ("test", 25.0)


def test_the_time_of_the_run_follows_the_epochs_that_are_done():
    clock = Clock()
    left = TimeLeft(images=100, epochs=5, clock=clock)
    first = EpochProgress(1, 50, AVERAGES, images_per_s=10.0)
    assert (left.of_epoch(first), left.of_run(first)) == (5.0, 45.0)
    clock.now_s = 15.0  # with its test, an epoch takes 15 s
    left.finish_epoch()
    second = EpochProgress(2, 100, AVERAGES, images_per_s=10.0)
    assert left.of_run(second) == 45.0


def test_a_stage_that_begins_another_loop_estimates_this_loop():
    clock = Clock()
    stage = StageClock(clock)
    assert stage.text() == "0:00 so far"
    clock.now_s = 30.0
    stage.update(0.25)
    assert stage.text() == "25 %, 1:30 left"
    stage.update(0.0)
    clock.now_s = 40.0
    stage.update(0.5)
    assert stage.text() == "50 %, 0:10 left"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")]
)
def test_a_duration_has_hours_only_if_needed(seconds: float, text: str):
    assert duration(seconds) == text
