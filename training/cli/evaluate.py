"""`python -m training evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from training.cli import options
from training.devices import Device, choose_device, prepare_torch
from training.evaluation.level import EvaluationLevel
from training.publishing.options import Figures, ReleaseOptions

if TYPE_CHECKING:
    from rich.table import Table

    from model_store.spec import ModelRef
    from model_store.store import Store
    from training.evaluation.verify import Check, Verification

WIDTH = 110
"""Columns of the table if it is not printed to a terminal."""


def evaluate(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="NAME[@VERSION]",
            help="A version, or an alias, in the store; a name alone means its newest version.",
        ),
    ],
    *,
    data_dir: options.DataDir = None,
    store: options.StoreFolder = None,
    device: options.WhichDevice = Device.CPU,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Check only the latents of the test split, the `quick_` numbers of its first "
            "images, and that manifest and card agree: seconds instead of minutes. With --data: leave "
            "out the NLL, the directions and what a judge measures.",
        ),
    ] = False,
    exhaustive: Annotated[
        bool,
        typer.Option(
            "--exhaustive",
            help="Also estimate the NLL of a hundred images by 5,000 draws each, which takes much "
            "longer than everything else.",
        ),
    ] = False,
    threads: options.Threads = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Measure an imported version, which has no numbers yet, on this data set: mnist, "
            "fashion-mnist or a folder of images. The next version has the numbers.",
        ),
    ] = None,
) -> None:
    """Measure a published version again, and check its card and manifest against the result.

    Every number of the manifest is recomputed from the weights by its protocol. Exits with 1 if a
    number differs by more than its tolerance.
    """
    from rich.console import Console

    from model_store.store import open_store
    from training.cli.run_and_show import show_warnings
    from training.evaluation.verify import verify
    from training.progress import following
    from training.settings import TrainingSettings

    if quick and exhaustive:
        raise typer.BadParameter("--quick and --exhaustive exclude each other")
    prepare_torch(threads)
    settings = TrainingSettings()
    models = open_store(store or settings.store)
    ref, which = options.resolve_newest(models, reference)
    stderr = Console(stderr=True)
    if which:
        stderr.print(which, highlight=False)
    if data is not None:
        level = EvaluationLevel.BOUND if quick else _level(quick=False, exhaustive=exhaustive)
        _measure_imported(models, ref, data, data_dir or settings.data_dir, level, device)
        return
    stage = "reading"

    def show_stage(name: str) -> None:
        nonlocal stage
        stage = name
        status.update(f"{ref}: {stage}")

    def show_fraction(fraction: float) -> None:
        status.update(f"{ref}: {stage}, {100 * fraction:.0f} %")

    with stderr.status(f"{ref}: reading") as status, following(show_fraction):
        verification = verify(
            models,
            ref,
            data_dir or settings.data_dir,
            _level(quick=quick, exhaustive=exhaustive),
            device=choose_device(device),
            report=show_stage,
        )
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    console.print(_table(verification))
    show_warnings(verification.manifest)
    if verification.left_out:
        left_out = verification.left_out
        names = [name for name in left_out if "[" not in name or name.startswith("ood_")]
        more = ", and those of single classes" if len(names) < len(left_out) else ""
        typer.echo(f"not measured again: {', '.join(names)}{more}")
    for name, metric in verification.further.items():
        typer.echo(f"not stated: {name} = {metric.value:.2f} ({metric.protocol})")
    disagreeing = [check.name for check in verification.checks if not check.agrees]
    if disagreeing:
        typer.echo(f"{ref}: card and weights disagree on {', '.join(disagreeing)}")
        raise typer.Exit(1)
    typer.echo(f"{ref}: card and weights agree on {len(verification.checks)} numbers")


def _measure_imported(  # noqa: PLR0917 - the parts of one measurement
    models: "Store",
    ref: "ModelRef",
    data: str,
    data_dir: Path,
    level: EvaluationLevel,
    device: Device,
) -> None:
    """Publish the next version of an imported one, with numbers."""
    from model_store.spec import PRODUCTION
    from training.cli.run_and_show import show_warnings
    from training.publishing.imported import data_of, measure_and_publish

    manifest = measure_and_publish(
        models,
        models.load(ref),
        data_of(data),
        data_dir,
        ReleaseOptions(level=level, figures=Figures.MODEL),
        device=choose_device(device),
        report=lambda stage: typer.echo(f"{ref}: {stage}", err=True),
    )
    show_warnings(manifest)
    typer.echo(f"published {manifest.ref} in {models.place(manifest.ref)}")
    typer.echo(f"it computes in {manifest.arithmetic}")
    if models.aliases(ref.name).get(PRODUCTION) != manifest.version:
        typer.echo(f"`python -m model_store promote {manifest.ref}` makes {ref.name} mean it")


def _level(*, quick: bool, exhaustive: bool) -> EvaluationLevel:
    if exhaustive:
        return EvaluationLevel.EXHAUSTIVE
    return EvaluationLevel.QUICK if quick else EvaluationLevel.FULL


def _table(verification: "Verification") -> "Table":
    from rich.table import Table

    table = Table(title=str(verification.manifest.ref), title_justify="left")
    table.add_column("number", no_wrap=True)
    for title in ("in the card", "recomputed", "difference", "allowed"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdict")
    for check in verification.checks:
        verdict = "[green]agrees[/]" if check.agrees else "[bold red]DISAGREES[/]"
        table.add_row(check.name.replace("[", r"\["), *_numbers(check), verdict)
    return table


def _numbers(check: "Check") -> tuple[str, ...]:
    if check.recomputed is None or check.difference is None:
        return f"{check.stated:.4f}", "none", "", f"{check.tolerance:.4f}"
    return (
        f"{check.stated:.4f}",
        f"{check.recomputed:.4f}",
        f"{check.difference:+.4f}",
        f"{check.tolerance:.4f}",
    )
