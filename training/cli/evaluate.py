"""`python -m training evaluate`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from model_store.store import open_store
from training.cli import options
from training.evaluation.evaluate import Extent
from training.evaluation.verify import Check, Report, check
from training.runs.pipeline import Device, choose_device
from training.settings import Settings

WIDTH = 110
"""Of the table where nobody looks: a log file."""


def evaluate(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="A version, or an alias, of the store.")
    ],
    *,
    data_dir: options.DataDir = None,
    store: options.StoreFolder = None,
    device: options.WhichDevice = Device.CPU,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Latents over the whole test split, the `quick_` numbers over its first images, "
            "and whether manifest and card agree; seconds instead of minutes.",
        ),
    ] = False,
    threads: options.Threads = None,
) -> None:
    """Measure a published version again, and say whether its card tells the truth.

    Every number of the manifest is recomputed from the weights by its own protocol. Exit code 1
    where a number differs by more than its tolerance.
    """
    options.prepare_torch(threads)
    settings = Settings()
    models = open_store(store or settings.store)
    ref = options.resolve(models, reference)
    stderr = Console(stderr=True)
    with stderr.status(f"{ref}: reading") as status:
        found = check(
            models,
            ref,
            data_dir or settings.data_dir,
            Extent.QUICK if quick else Extent.FULL,
            device=choose_device(device),
            report=lambda stage: status.update(f"{ref}: {stage}"),
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(verdicts(found))
    if found.left_out:
        names = [name for name in found.left_out if "[" not in name]
        more = ", and those of single classes" if len(names) < len(found.left_out) else ""
        typer.echo(f"not measured again: {', '.join(names)}{more}")
    disagreeing = [c.name for c in found.checks if not c.agrees]
    if disagreeing:
        typer.echo(f"{ref}: card and weights disagree on {', '.join(disagreeing)}")
        raise typer.Exit(1)
    typer.echo(f"{ref}: card and weights agree on {len(found.checks)} numbers")


def verdicts(report: Report) -> Table:
    """A row a number."""
    table = Table(title=str(report.manifest.ref), title_justify="left")
    table.add_column("number", no_wrap=True)
    for title in ("in the card", "recomputed", "difference", "allowed"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in report.checks:
        verdict = "[green]agrees[/]" if row.agrees else "[bold red]DISAGREES[/]"
        table.add_row(row.name.replace("[", r"\["), *_numbers(row), verdict)
    return table


def _numbers(row: Check) -> tuple[str, ...]:
    if row.found is None or row.difference is None:
        return f"{row.stated:.4f}", "none", "", f"{row.tolerance:.4f}"
    return (
        f"{row.stated:.4f}",
        f"{row.found:.4f}",
        f"{row.difference:+.4f}",
        f"{row.tolerance:.4f}",
    )
