"""Events of a run, which the command line shows."""

from dataclasses import dataclass

from training.fitting.events import EpochDone, EpochProgress


@dataclass(frozen=True)
class Started:
    """The data is in memory, and the remaining epochs begin."""

    dataset: str
    images: int
    epochs: int
    weights: int
    """Number of trainable values."""
    device: str
    epochs_done: int = 0
    """Epochs that a resumed run has already finished."""
    passes: int = 1
    """Passes over the images in one epoch."""


@dataclass(frozen=True)
class Notice:
    """A message for the user that does not stop the run."""

    text: str


@dataclass(frozen=True)
class Measuring:
    """Training is over, and a stage of measuring or drawing begins."""

    stage: str


@dataclass(frozen=True)
class StageProgress:
    """Progress of the measurement that runs now, during training or after it."""

    fraction: float
    """From 0 to 1."""


Event = Started | EpochProgress | EpochDone | Notice | Measuring | StageProgress
