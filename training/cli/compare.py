"""`python -m training compare`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from model_store.store import StoredModel, open_store
from training.cli import options
from training.errors import UsageError
from training.publishing import comparison
from training.settings import Settings

WIDTH = 140
"""Of the table where nobody looks: a log file."""


def compare(
    references: Annotated[
        list[str], typer.Argument(metavar="NAME[@VERSION]...", help="Versions of the store.")
    ],
    *,
    store: options.StoreFolder = None,
    out: Annotated[
        Path | None, typer.Option(help="Draw curves, samples and traversals into this folder.")
    ] = None,
) -> None:
    """Lay published versions beside each other: numbers, curves, samples of the same latents."""
    models = open_store(store or Settings().store)
    refs = [options.resolve(models, reference) for reference in references]
    manifests = [models.manifest(ref) for ref in refs]
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(_table([str(ref) for ref in refs], comparison.table(manifests)))
    for sentence in comparison.what_beta_did(manifests):
        typer.echo(sentence)
    if out is not None:
        loaded: dict[str, StoredModel] = {str(ref): models.load(ref) for ref in refs}
        _write(out, comparison.draw(loaded))


def _table(names: list[str], rows: list[comparison.Row]) -> Table:
    table = Table()
    table.add_column("number", no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("unit")
    for row in rows:
        table.add_row(row.name, *(_digits(value) for value in row.values), row.unit)
    return table


def _digits(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if value == int(value) else f"{value:.{2 if abs(value) >= 2 else 4}f}"


def _write(folder: Path, drawn: dict[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in drawn.items():
            path = folder / f"{name}.png"
            path.write_bytes(png)
            typer.echo(f"drew {path}")
    except OSError as error:
        raise UsageError(f"--out {folder}: {error.strerror or error}") from error
