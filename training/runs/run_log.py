"""The logs of a run: history.csv and TensorBoard's event files."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import torch
from torchvision.utils import make_grid  # type: ignore[import-untyped]

from model_store.durable_files import replace_durably
from model_store.vae import VAE
from training.errors import CheckpointError
from training.fitting.events import EpochDone
from training.runs.sheets import sample_images

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

COLUMNS = (
    "epoch",
    "train_loss",
    "train_reconstruction",
    "train_kl",
    "test_loss",
    "test_reconstruction",
    "test_kl",
    "beta",
    "learning_rate",
    "images_per_s",
)


class RunLog:
    """The log of a run: a line of history.csv and a point on TensorBoard's curves per epoch.

    A resumed run continues after the epochs of its checkpoint.
    """

    def __init__(self, folder: Path, history: Sequence[EpochDone], *, tensorboard: bool) -> None:
        self.folder = folder
        self.history = list(history)
        self.writer = _writer(folder, len(history) + 1) if tensorboard else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.writer:
            self.writer.close()

    def write(self, done: EpochDone, vae: VAE) -> None:
        """Add an epoch; raises CheckpointError if writing fails."""
        self.history.append(done)
        try:
            replace_durably(self.folder / "history.csv", history_csv(self.history).encode())
            if self.writer:
                for name, value in scalars(done).items():
                    self.writer.add_scalar(name, value, done.epoch)
                self.writer.add_image("samples", sample_grid(vae), done.epoch)
                self.writer.flush()
        except OSError as error:
            raise CheckpointError(
                f"cannot write the logs of epoch {done.epoch} into {self.folder}: "
                f"{error.strerror or error}; its checkpoint was written: free some space and "
                "continue with --resume"
            ) from error


def history_csv(history: Sequence[EpochDone]) -> str:
    """Format one line per epoch; losses in nats per image."""
    with io.StringIO() as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(done) for done in history)
        return file.getvalue()


def scalars(done: EpochDone) -> dict[str, float]:
    """Return the values of TensorBoard's curves, by name."""
    return {
        "loss/train": done.train.loss,
        "loss/test": done.test.loss,
        "reconstruction/train": done.train.reconstruction,
        "reconstruction/test": done.test.reconstruction,
        "kl/train": done.train.kl,
        "kl/test": done.test.kl,
        "beta": done.beta,
        "learning_rate": done.learning_rate,
        "images_per_s": done.images_per_s,
    }


@torch.no_grad()
def sample_grid(vae: VAE) -> torch.Tensor:
    """Arrange the images of `sheets.sample_images` in one; (3, height, width) in [0, 1].

    The VAE is left in evaluation mode.
    """
    vae.eval()
    grid: torch.Tensor = make_grid(sample_images(vae).cpu(), nrow=8, padding=2)
    return grid


def _row(done: EpochDone) -> tuple[float, ...]:
    train, test = done.train, done.test
    return (
        done.epoch,
        *(train.loss, train.reconstruction, train.kl),
        *(test.loss, test.reconstruction, test.kl),
        *(done.beta, done.learning_rate, done.images_per_s),
    )


def _writer(folder: Path, first_epoch: int) -> "SummaryWriter":
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - importing it takes a second

    # purge_step hides what an interrupted epoch logged before it is repeated
    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_epoch)
