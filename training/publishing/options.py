"""Options of publishing; importable without PyTorch, because `--help` lists them."""

from dataclasses import dataclass
from enum import StrEnum

from model_store.spec import Arithmetic
from training.evaluation.level import EvaluationLevel


class Figures(StrEnum):
    """Which figures to publish; `model` leaves out those that show images of the data set."""

    ALL = "all"
    MODEL = "model"


class Storage(StrEnum):
    """Type of stored weights; computation always uses 32 bits."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


@dataclass(frozen=True)
class ReleaseOptions:
    """Options for measuring, storing and illustrating a version."""

    level: EvaluationLevel = EvaluationLevel.FULL
    """Amount of measuring."""
    storage: Storage = Storage.FLOAT32
    figures: Figures = Figures.ALL
    arithmetic: Arithmetic = "exact-1"
    """Arithmetic of the version; one that has no exact form is published in float."""
    float_weights: bool = True
    """Keep the float weights in an exact version, for training that continues from it."""
