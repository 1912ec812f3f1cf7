"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from model_store.errors import InvalidReferenceError, NotFoundError
from model_store.spec import ModelRef
from model_store.store import Store
from training.errors import UsageError
from training.evaluation.evaluate import Extent
from training.publishing.release import Figures, Storage
from training.runs.pipeline import Device

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder that holds MNIST/raw, or a folder of images for a preset of the data set "
        "`folder` (default: ZSERVE_DATA_DIR, or data/)."
    ),
]
StoreFolder = Annotated[
    Path | None,
    typer.Option(help="Store to publish into (default: ZSERVE_STORE, or models/)."),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="A folder for each run goes in here (default: ZSERVE_RUNS, or runs/)."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as optimiser.epochs=3."),
]
WhichDevice = Annotated[Device, typer.Option(help="Where to compute.")]
WhichFigures = Annotated[
    Figures, typer.Option(help="`model` leaves out figures that show the data set.")
]
WhichEvaluation = Annotated[
    Extent,
    typer.Option(
        help="`full` measures what a card says, in minutes; `bound` leaves out most of it, `quick` "
        "all but the latents and a few images; `exhaustive` adds an NLL by thousands of draws."
    ),
]
WhichStorage = Annotated[
    Storage, typer.Option(help="Bits of a stored weight; 16 are refused where they cost.")
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads (default: one for each core).")
]


def prepare_torch(threads: int | None) -> None:
    """Say how PyTorch computes in this process."""
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Adam's moments of dark pixels fade into slow tiny numbers


def resolve(store: Store, reference: str) -> ModelRef:
    """The version that a person means; raises UsageError where there is none."""
    try:
        return store.resolve(ModelRef.parse(reference))
    except (InvalidReferenceError, NotFoundError) as error:
        raise UsageError(str(error)) from error
