"""`python -m training complete`."""

from typing import Annotated

import typer

from training.cli import options
from training.devices import Device, choose_device, prepare_torch


def complete(
    reference: Annotated[
        str, typer.Argument(metavar="NAME@VERSION", help="A version, or an alias, in the store.")
    ],
    *,
    data_dir: options.DataDir = None,
    store: options.StoreFolder = None,
    device: options.WhichDevice = Device.CPU,
    threads: options.Threads = None,
    classes: Annotated[
        bool,
        typer.Option(
            "--classes",
            help="Fit the latents of the classes again, also if the version has some: `label=` then "
            "draws other images.",
        ),
    ] = False,
    left_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            metavar="FIGURE",
            help="Leave a figure out of the new version, such as `traversal`, to make it smaller.",
        ),
    ] = None,
) -> None:
    """Publish a version again with the measured parts that it lacks.

    These are directions, the typicality table and latents of test images. The new version has the
    same weights, figures and numbers; nothing that it has is measured again unless --classes asks for
    it, and nothing is published if it has all parts and no figure is left out.
    """
    from rich.console import Console

    from model_store.store import open_store
    from training.cli.run_and_show import show_warnings
    from training.evaluation.served import served_vae
    from training.evaluation.verify import load_splits
    from training.publishing.completion import Parts, measure_missing, missing_parts, publish_with
    from training.publishing.destination import check_destination
    from training.settings import TrainingSettings

    prepare_torch(threads)
    settings = TrainingSettings()
    models = open_store(store or settings.store)
    ref = options.resolve(models, reference)
    stored = models.load(ref)
    missing = (*missing_parts(stored.manifest), *(["new classes"] if classes else []))
    if not missing and not left_out:
        typer.echo(f"{ref} lacks nothing; nothing is published")
        return
    check_destination(models, ref.name)
    torch_device = choose_device(device)
    stderr = Console(stderr=True)
    parts = Parts()
    if missing:
        splits = load_splits(stored.manifest, data_dir or settings.data_dir, torch_device)
        stderr.print(f"{ref} lacks {', '.join(missing)}", highlight=False)
        parts = measure_missing(
            stored,
            served_vae(stored, torch_device),
            splits,
            lambda stage: stderr.print(f"{ref}: {stage}", highlight=False),
            classes=classes,
        )
    if parts.empty and not left_out:
        typer.echo(f"{ref}: its data set tells no {', '.join(missing)}; nothing is published")
        return
    manifest = publish_with(models, stored, parts, left_out=left_out or ())
    show_warnings(manifest)
    typer.echo(f"published {manifest.ref} in {models.place(manifest.ref)}")
