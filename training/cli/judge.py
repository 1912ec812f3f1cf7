"""`python -m training judge`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from model_store.spec import MLP, ModelSpec
from training.classifier.model import JUDGES
from training.classifier.train import Labelled, train_judge
from training.cli import options
from training.config import Data
from training.data import loading
from training.data.loading import Images
from training.errors import DataError
from training.settings import Settings


class Judged(StrEnum):
    """Data sets that have a judge."""

    MNIST = "mnist"
    FASHION_MNIST = "fashion-mnist"


def judge(
    dataset: Annotated[Judged, typer.Argument(help="What the judge is to know.")],
    *,
    data_dir: options.DataDir = None,
    out: Annotated[Path, typer.Option(help="Folder for its weights and its card.")] = JUDGES,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the recipe's number.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,
    threads: options.Threads = None,
) -> None:
    """Train the small classifier that judges samples; minutes on a CPU.

    Judges that stand in for one another make numbers that do not compare: versions that were
    measured by the one before must be measured again.
    """
    options.prepare_torch(threads)
    splits = loading.load(
        Data(dataset=dataset.value), data_dir or Settings().data_dir, _SPEC_OF_28X28
    )
    card = train_judge(
        dataset.value,
        _labelled(splits.train),
        _labelled(splits.test),
        epochs=epochs,
        seed=seed,
        folder=out,
        report=lambda epoch, loss: typer.echo(f"epoch {epoch:3d}  loss {loss:.4f}", err=True),
    )
    typer.echo(
        f"{out / dataset.value}.safetensors: accuracy {card.accuracy:.4f}, sure of "
        f"{card.sure_share:.4f} of the test split, right in {card.sure_accuracy:.4f} of those"
    )


_SPEC_OF_28X28 = ModelSpec(network=MLP(), latent=1)
"""Names the shape of the images; a judge itself has no spec."""


def _labelled(images: Images) -> Labelled:
    if images.labels is None:
        raise DataError("a judge needs images with labels")
    return Labelled(images.pixels, images.labels)
