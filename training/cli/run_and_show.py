"""Run a job and show its progress and result; `train` and `publish` share this."""

from pathlib import Path

import typer
from rich.console import Console

from model_store.spec import Manifest
from training.cli.run_display import RunDisplay, metrics_table
from training.devices import choose_device
from training.errors import InterruptedRunError
from training.fitting.data_parallel import joined
from training.fitting.memory import advising_on_memory
from training.runs import checkpoint, pipeline
from training.runs.follower import follow
from training.runs.job import Job


def run_and_show(job: Job) -> None:
    """Run a job; raises InterruptedRunError after Ctrl-C, and what `pipeline.run` raises.

    Of the processes that torchrun starts, the first one shows and publishes.
    """
    try:
        with advising_on_memory(job.preset), joined(choose_device(job.device)) as processes:
            if processes.rank:
                follow(job, processes)
                return
            with RunDisplay(Console(stderr=True)) as display:
                outcome = pipeline.run(job, display, processes)
    except KeyboardInterrupt:
        raise InterruptedRunError(_how_to_continue(job.folder)) from None
    Console().print(metrics_table(outcome))
    manifest = outcome.manifest
    show_warnings(manifest)
    typer.echo(f"published {manifest.ref} in {job.store.place(manifest.ref)}")


def show_warnings(manifest: Manifest) -> None:
    """Print the warnings about a published version as lines of stderr."""
    for warning in manifest.warnings:
        typer.echo(f"WARNING: {warning}", err=True)


def _how_to_continue(folder: Path) -> str:
    state = checkpoint.peek(folder)
    if state is None:
        return "interrupted; nothing was published"
    if state.published:
        return f"interrupted; {state.published} was published"
    return f"interrupted; nothing was published; continue from epoch {state.epoch} with --resume"
