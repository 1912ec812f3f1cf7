"""The reasons of a plan: one line for each choice, for the table that the user reads."""

import math
from dataclasses import dataclass

from training.data.folder_survey import Survey
from training.evaluation.level import EvaluationLevel
from training.fitting.memory import estimate_memory, gigabytes
from training.planning import network
from training.planning.plan import DEFAULT_MINUTES, Plan, Wishes


@dataclass(frozen=True)
class Choice:
    """One line of a plan."""

    name: str
    value: str
    reason: str


def choices(survey: Survey, wishes: Wishes, plan: Plan) -> tuple[Choice, ...]:
    """Return what a plan chose, and why."""
    preset, level, images_per_s = plan.preset, plan.level, plan.images_per_s
    spec, optimiser = preset.model, preset.optimiser
    net = spec.network
    kind = "colour" if spec.image.channels == 3 else "grey"
    passes = optimiser.passes or 1
    steps = optimiser.epochs * math.ceil(survey.train * passes / optimiser.batch_size)
    minutes = optimiser.epochs * passes * survey.train / images_per_s / 60
    prior = f"under a flow of {spec.prior.couplings} couplings" if spec.prior else "under N(0, I)"
    averaged = round(1 / (1 - optimiser.ema_decay)) if optimiser.ema_decay else 1
    memory = estimate_memory(preset, survey.train + survey.test)
    return (
        Choice(
            "images",
            f"{survey.train:,} to train on, {survey.test:,} to measure on",
            "held out from the folder" if survey.held_out else "the folder's own splits",
        ),
        Choice("classes", *_class_choice(survey)),
        Choice(
            "size",
            f"{spec.image.width}x{spec.image.height}, {kind}",
            "as --size asks"
            if wishes.size
            else f"the files have {survey.width}x{survey.height} (median); --size N for another",
        ),
        Choice(
            "network",
            f"{net.kind}, {'-'.join(map(str, getattr(net, 'channels', ())))}",
            f"{network.decoding_mflop(spec):.0f} MFLOP to decode an image",
        ),
        Choice("latents", f"{spec.latent} {prior}", "follows the number of images"),
        Choice("likelihood", spec.likelihood.replace("_", " "), _likelihood_reason(survey)),
        Choice(
            "augmentation",
            "half of the images, mirrored at random" if survey.colour else "none",
            "--set objective.augmentation.mirror=false if left and right matter"
            if survey.colour
            else "grey images may be signs, which have a left and a right",
        ),
        Choice(
            "training",
            f"{steps:,} steps of {optimiser.batch_size} images",
            f"{optimiser.epochs} epochs" + (f" of {passes} passes" if passes > 1 else ""),
        ),
        Choice("averaging", f"over about {averaged:,} steps", "a twentieth of all steps"),
        Choice(
            "time",
            f"about {max(1, round(minutes))} min"
            + ("" if wishes.minutes else f" (at most {DEFAULT_MINUTES:.0f})"),
            f"{images_per_s:,.{0 if images_per_s >= 10 else 1}f} images/s, measured; --minutes N for another time",
        ),
        Choice("memory", f"about {gigabytes(memory.total)}", "estimated"),
        Choice(
            "evaluation",
            level.value,
            "everything"
            if level is EvaluationLevel.FULL
            else "the likelihood would take long; --evaluation full measures it",
        ),
    )


def _class_choice(survey: Survey) -> tuple[str, str]:
    if survey.classes is None:
        return "none", "the images are not in two or more subfolders"
    smallest = min(count for _, count in survey.classes)
    return f"{len(survey.classes)}", f"the subfolders; {smallest:,} or more images each"


def _likelihood_reason(survey: Survey) -> str:
    share = f"{survey.extremes:.0%} of the values are nearly black or white"
    return f"in colour; {share}" if survey.colour else share
