"""Command-line options that several commands share.

Nothing here imports PyTorch, so that `--help` and `presets` answer quickly; commands import what
they need when they run.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.devices import Device
from training.errors import UsageError
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, Storage
from training.suggestions import advice

if TYPE_CHECKING:
    from model_store.spec import ModelRef
    from model_store.store import Store

TABLE_WIDTH = 140
"""Columns of a table that is not printed to a terminal."""

DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder that contains MNIST/raw, or a folder of images for presets of the data set "
        "`folder` (default: ZSERVE_DATA_DIR, or data/)."
    ),
]
StoreFolder = Annotated[
    str | None,
    typer.Option(
        help="Model store, a folder or an address such as s3://bucket/prefix (default: ZSERVE_STORE, "
        "or models/)."
    ),
]
RunsDir = Annotated[
    Path | None,
    typer.Option(help="Parent folder of the runs (default: ZSERVE_RUNS, or runs/)."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change a key of the preset, such as optimiser.epochs=3."
    ),
]
WhichDevice = Annotated[Device, typer.Option(help="Device to compute on.")]
WhichFigures = Annotated[
    Figures, typer.Option(help="`model` leaves out figures that show images of the data set.")
]
Level = Annotated[
    EvaluationLevel,
    typer.Option(
        "--evaluation",
        help="How much to measure: `full` takes minutes; `bound` leaves out most of it; `quick` "
        "measures latents and a few images only; `exhaustive` adds an NLL by 5,000 draws.",
    ),
]
OptionalLevel = Annotated[
    EvaluationLevel | None,
    typer.Option(
        "--evaluation",
        help="How much to measure: `full` takes minutes; `bound` leaves out most of it; `quick` "
        "measures latents and a few images only; `exhaustive` adds an NLL by 5,000 draws "
        "(default: `full` for a preset; for a folder, `bound` if `full` would take long).",
    ),
]
WhichStorage = Annotated[
    Storage,
    typer.Option(help="Type of stored weights; float16 is refused if it costs likelihood."),
]


class ArithmeticName(StrEnum):
    """Arithmetic of a version."""

    EXACT = "exact-1"
    FLOAT = "float"


WhichArithmetic = Annotated[
    ArithmeticName,
    typer.Option(
        help="`exact-1` gives the same bytes on every machine; a network that has no exact form is "
        "published in float."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="CPU threads (default: what is fastest, at most one per core)."),
]
Best = Annotated[
    bool | None,
    typer.Option(
        "--best/--last",
        help="Publish the epoch with the lowest test loss, or the last one (default: the last one, "
        "unless the best is better by more than 1 %).",
    ),
]


def resolve(store: "Store", reference: str) -> "ModelRef":
    """Return the version that a user names; raises UsageError if there is none."""
    from model_store.errors import InvalidReferenceError, ModelNotFoundError, NotFoundError
    from model_store.spec import ModelRef

    try:
        return store.resolve(ModelRef.parse(reference))
    except ModelNotFoundError as error:
        name = ModelRef.parse(reference).name
        raise UsageError(
            f"no model {name!r} in the store; "
            f"{advice(name, store.names(), '`python -m model_store list` lists them')}"
        ) from error
    except (InvalidReferenceError, NotFoundError) as error:
        raise UsageError(str(error)) from error


def resolve_newest(store: "Store", reference: str) -> "tuple[ModelRef, str]":
    """Return the version that a user names, and a line that says which if the user named none.

    A bare name means the newest version, which training published last, and not production, as it
    does for a service. Raises UsageError if there is none.
    """
    from model_store.spec import PRODUCTION

    ref = resolve(store, reference)
    if "@" in reference:
        return ref, ""
    newest = ref.model_copy(update={"version": max(store.versions(ref.name))})
    production = store.aliases(ref.name)[PRODUCTION]
    if len(store.versions(ref.name)) == 1:
        return newest, f"{newest}, the only version"
    also = "also" if production == newest.version else f"{ref.name}@{production} is"
    return newest, f"{newest}, the newest version; {also} production"


WithoutFloatWeights = Annotated[
    bool,
    typer.Option(
        "--without-float-weights",
        help="Leave the float weights out of an exact version: it is smaller, and training "
        "continues from weights that are derived from its integers.",
    ),
]
