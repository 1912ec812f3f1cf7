"""`python -m training`: the command line.

Exit codes: 0 done; 1 a failure, such as a loss that is not finite or a disk that refuses; 2 what
was asked for cannot be done; 130 interrupted.
"""

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from model_store import Store, StoreError
from training.config import load_preset, parse_overrides, preset_names
from training.display import Display, metrics_table
from training.errors import TrainingError, UsageError
from training.run import Device, Figures, Job
from training.run import train as run
from training.settings import Settings

INTERRUPTED = 130
"""What typer makes of Ctrl-C."""

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train variational autoencoders and publish them into the model store.",
)


@app.command()
def train(
    *,
    preset: Annotated[str, typer.Option(help="What to train; see `presets`.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder that holds MNIST/raw (default: ZSERVE_DATA_DIR, or data/)."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the preset's number.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of weights, order of images, and noise.")
    ] = 0,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.AUTO,
    name: Annotated[
        str | None, typer.Option(help="Name in the store (default: the preset's).")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="Store to publish into (default: ZSERVE_STORE, or model_store/weights)."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a key, as optimiser.epochs=3."),
    ] = None,
    figures: Annotated[
        Figures, typer.Option(help="`model` leaves out figures that show the data set.")
    ] = Figures.ALL,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads (default: one for each core).")
    ] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set where it is missing.")
    ] = False,
) -> None:
    """Train a preset, measure it on the test split, and publish a new version."""
    overrides = parse_overrides(assignments or ())
    if epochs is not None:
        overrides["optimiser.epochs"] = epochs
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)  # Adam's moments of dark pixels fade into slow tiny numbers
    settings = Settings()
    job = Job(
        preset_name=preset,
        preset=load_preset(preset, overrides),
        data_dir=data_dir or settings.data_dir,
        store=Store(store or settings.store),
        name=name or preset,
        seed=seed,
        device=device,
        figures=figures,
        download=download,
    )
    with Display(Console(stderr=True)) as display:
        manifest = run(job, display)
    Console().print(metrics_table(manifest))
    path = job.store.root / manifest.name / str(manifest.version)
    print(f"published {manifest.ref} in {path}")


@app.command()
def presets() -> None:
    """List the presets."""
    names = preset_names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:<{width}}  {load_preset(name).summary}")


def main() -> int:
    """Run the command; the exit code."""
    try:
        code = int(app(standalone_mode=False) or 0)
    except UsageError as error:
        return _fail(str(error), 2)
    except typer.TyperException as error:  # an option's name or value
        return _fail(f"{error.format_message().rstrip('.')}; see --help", 2)
    except (TrainingError, StoreError) as error:
        return _fail(str(error), 1)
    return _fail("interrupted; nothing was published", code) if code == INTERRUPTED else code


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
