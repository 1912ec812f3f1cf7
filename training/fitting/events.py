"""Events of the trainer: averages during an epoch and at its end."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Averages:
    """Means over images, in nats; `reconstruction` is -ln p(x | z).

    For training images, `loss` is the minimised quantity, with the beta and free bits of each step.
    For test images it always uses the final beta and no free bits, so that epochs can be compared.
    """

    loss: float
    reconstruction: float
    kl: float

    @classmethod
    def from_sums(cls, sums: Tensor, images: int) -> Self:
        """Divide the sums of loss, log_px and kl, (3,), by the number of images."""
        loss, log_px, kl = (sums / images).tolist()
        return cls(loss=loss, reconstruction=-log_px, kl=kl)


@dataclass(frozen=True)
class EpochProgress:
    """Averages over the images of an epoch that were processed so far."""

    epoch: int
    images: int
    averages: Averages
    images_per_s: float


@dataclass(frozen=True)
class EpochDone:
    """Averages of a complete epoch: one line of the loss curve."""

    epoch: int
    train: Averages
    test: Averages
    images_per_s: float
    beta: float = 1.0
    """Beta after the epoch."""
    learning_rate: float = 0.0
    """Learning rate after the epoch."""
