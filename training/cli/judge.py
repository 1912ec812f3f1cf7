"""`python -m training judge`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from training.cli import options
from training.devices import prepare_torch


class JudgeDataset(StrEnum):
    """Data sets that have a recipe for a judge."""

    MNIST = "mnist"
    FASHION_MNIST = "fashion-mnist"
    GLYPHS = "glyphs"


def judge(
    dataset: Annotated[JudgeDataset, typer.Argument(help="Data set to classify.")],
    *,
    data_dir: options.DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the judge's weights and card (default: training/classifier/weights)."
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Number of epochs (default: the recipe's).")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of weights, order and augmentation.")
    ] = 0,
    threads: options.Threads = None,
) -> None:
    """Train the judge: the small classifier that measures samples; minutes on a CPU.

    Numbers of different judges are not comparable: after replacing a judge, measure every published
    version of its data set again.
    """
    from model_store.spec import MLP, ModelSpec
    from training.classifier.model import JUDGES
    from training.classifier.train import RECIPES, train_judge
    from training.data import loading
    from training.settings import TrainingSettings

    prepare_torch(threads)
    recipe = RECIPES[dataset.value]
    # only the shape and the preparation of images are used
    spec = ModelSpec(network=MLP(), latent=1, image=recipe.image, upload="resize")
    folder = out or JUDGES
    splits = loading.load(recipe.data, data_dir or TrainingSettings().data_dir, spec)
    card = train_judge(
        dataset.value,
        splits.train,
        splits.test,
        class_names=splits.classes or (),
        epochs=epochs,
        seed=seed,
        folder=folder,
        report=lambda epoch, loss: typer.echo(f"epoch {epoch:3d}  loss {loss:.4f}", err=True),
    )
    typer.echo(
        f"{folder / dataset.value}.safetensors: accuracy {card.accuracy:.4f}; sure of "
        f"{card.sure_share:.4f} of the test split, and right about {card.sure_accuracy:.4f} of that"
    )
