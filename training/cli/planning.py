"""Plan the training of a folder of images, and show the plan."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from training.cli import options
from training.config import Preset, changed
from training.errors import SettingError
from training.evaluation.level import EvaluationLevel

if TYPE_CHECKING:
    import torch
    from rich.table import Table

    from training.devices import Threads
    from training.planning.plan import Plan, Wishes
    from training.planning.reasons import Choice

PRESET_NAME = "planned"
"""Name of planned presets in checkpoints, manifests and cards."""
HOLDOUT = "data.holdout"
MAX_NAME = 63


@dataclass(frozen=True)
class Chosen:
    """A preset to train, and the defaults for measuring and storing the result."""

    preset_name: str
    preset: Preset
    level: EvaluationLevel
    float_weights: bool = True


def model_name(folder: Path) -> str:
    """Return the name of a folder as the name of a model; raises SettingError if nothing is left."""
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("-._")[:MAX_NAME]
    if not name:
        raise SettingError(f"{folder} gives no model name; choose one with --name")
    return name


def plan_folder(
    folder: Path, wishes: "Wishes", device: "torch.device", threads: "Threads"
) -> "Plan":
    """Survey a folder, measure the speed of this machine, and plan; prints the plan to stderr.

    Raises DataNotFoundError, SettingError, OutOfMemoryError.
    """
    from rich.console import Console

    from training.available_memory import available_bytes
    from training.config import Data
    from training.data.folder_survey import survey_folder
    from training.fitting.memory import advising_on_memory, check_memory
    from training.planning import plan as planning
    from training.planning.reasons import choices
    from training.planning.speed import measure_images_per_s

    console = Console(stderr=True)
    holdout = (wishes.overrides or {}).get(HOLDOUT, Data(dataset="folder").holdout)
    with console.status(f"looking at the images in {folder}"):
        survey = survey_folder(folder, _share(holdout))
        most = (wishes.overrides or {}).get("data.train_images")
        if isinstance(most, int):
            survey = replace(survey, train=max(1, min(survey.train, most)))
        free = available_bytes() if device.type == "cpu" else None
        preset = planning.draft(survey, wishes, free)
    images = survey.train + survey.test
    check_memory(preset, images, free)
    with (
        console.status("measuring how fast this machine trains"),
        advising_on_memory(preset, images),
    ):
        images_per_s = measure_images_per_s(preset, device, threads)
    plan = planning.plan(survey, wishes, preset, images_per_s)
    if not console.is_terminal:
        console.width = options.TABLE_WIDTH
    console.print(_table(f"plan for {folder}", choices(survey, wishes, plan)))
    for line in plan.advice:
        typer.echo(f"WARNING: {line}", err=True)
    return plan


def planned(
    folder: Path,
    wishes: "Wishes",
    device: "torch.device",
    run: Path,
    *,
    threads: "Threads",
    resume: bool,
) -> "Chosen":
    """Plan a folder; a run that is resumed keeps its preset, because a new plan may differ."""
    from training.errors import RunError
    from training.runs import checkpoint

    if not resume:
        plan = plan_folder(folder, wishes, device, threads)
        return Chosen(PRESET_NAME, plan.preset, plan.level, float_weights=False)
    state = checkpoint.peek(run)
    if state is None:
        raise RunError(f"--resume: no checkpoint in {run}; train without --resume")
    preset = changed(state.preset, wishes.overrides or {})
    return Chosen(state.preset_name, preset, EvaluationLevel.BOUND, float_weights=False)


def _share(holdout: object) -> float:
    if not isinstance(holdout, float) or not 0 < holdout < 1:
        raise SettingError(f"{HOLDOUT}: a share between 0 and 1 is needed; got {holdout}")
    return holdout


def _table(title: str, choices: "tuple[Choice, ...]") -> "Table":
    from rich.table import Table

    table = Table("setting", title=title, title_justify="left")
    for heading in ("chosen", "why"):
        table.add_column(heading, overflow="fold")
    for choice in choices:
        table.add_row(choice.name, choice.value, choice.reason)
    return table
