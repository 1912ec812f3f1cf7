"""`python -m training compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli import options
from training.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from training.publishing.comparison import Row


def compare(
    references: Annotated[
        list[str], typer.Argument(metavar="NAME[@VERSION]...", help="Versions in the store.")
    ],
    *,
    store: options.StoreFolder = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder in which to draw curves, samples, traversals and scores (default: none)."
        ),
    ] = None,
) -> None:
    """Compare published versions: print a table of numbers and, with --out, draw figures.

    The figures are the test curves, samples of the same latents, traversals, and for versions of
    one data set the judge's scores, overall and by class.
    """
    from rich.console import Console

    from model_store.store import open_store
    from training.publishing import comparison
    from training.settings import TrainingSettings

    models = open_store(store or TrainingSettings().store)
    refs = [options.resolve(models, reference) for reference in references]
    manifests = [models.manifest(ref) for ref in refs]
    console = Console()
    if not console.is_terminal:
        console.width = options.TABLE_WIDTH
    console.print(_table([str(ref) for ref in refs], comparison.table(manifests)))
    for sentence in [comparison.ranking(manifests), *comparison.effect_of_beta(manifests)]:
        typer.echo(sentence)
    if out is not None:
        _write(out, comparison.draw({str(ref): models.load(ref) for ref in refs}))


def _table(names: list[str], rows: "list[Row]") -> "Table":
    from rich.table import Table

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
