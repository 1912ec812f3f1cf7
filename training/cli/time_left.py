"""Estimate how long a run and its stages still take; formats of shares and times."""

import time
from collections.abc import Callable

from training.fitting.events import EpochProgress


class TimeLeft:
    """Estimates from the events of a run; `clock` returns the time in s."""

    def __init__(
        self, images: int, epochs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.images = images
        self.epochs = epochs
        self.clock = clock
        self.epoch_began_s = clock()
        self.epoch_s: float | None = None
        """Mean duration (s) of the epochs of this session, with checkpoints and tests."""
        self._epochs_timed = 0

    def of_epoch(self, progress: EpochProgress) -> float:
        """Return the time (s) that the images of this epoch still take."""
        return (self.images - progress.images) / progress.images_per_s

    def of_run(self, progress: EpochProgress) -> float:
        """Return the time (s) until the last epoch ends."""
        epoch_s = self.epoch_s or self.images / progress.images_per_s
        return self.of_epoch(progress) + (self.epochs - progress.epoch) * epoch_s

    def finish_epoch(self) -> None:
        """Count the epoch that ends now."""
        now = self.clock()
        total_s = (self.epoch_s or 0.0) * self._epochs_timed + now - self.epoch_began_s
        self._epochs_timed += 1
        self.epoch_s = total_s / self._epochs_timed
        self.epoch_began_s = now


class StageClock:
    """Estimates for one stage of measuring, from the fraction that is done."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began_s = clock()
        self._loop_began_s = self.began_s
        self.fraction = 0.0

    def update(self, fraction: float) -> None:
        """Take the fraction that is done; one that falls belongs to the stage's next loop."""
        if fraction < self.fraction:
            self._loop_began_s = self.clock()
        self.fraction = fraction

    def text(self) -> str:
        """Describe how far the stage is, such as `35 %, 1:20 left` or `0:30 so far`."""
        now = self.clock()
        if not 0 < self.fraction < 1:
            return f"{duration(now - self.began_s)} so far"
        left_s = (now - self._loop_began_s) * (1 - self.fraction) / self.fraction
        return f"{self.fraction:.0%}, {duration(left_s)} left".replace("%", " %", 1)


def duration(seconds: float) -> str:
    """Format a time as minutes:seconds, or as hours:minutes:seconds."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
