"""Train on after the last epoch of a run, with the judge of the data set."""

from collections.abc import Callable

import torch
from torch import Tensor

from model_store.vae import VAE
from training.classifier.model import SURE_PROBABILITY, Judge, judge_for_data
from training.config import Objective, Preset
from training.data.images import Splits
from training.errors import RunError
from training.evaluation.classifier_metrics import predict_latents
from training.fitting.kept_classes import Lessons, fit_encoder
from training.fitting.prior import encode
from training.fitting.sure_draws import Classes, Rounds, fit_to_sure_draws


def judge_for_training(preset: Preset, splits: Splits, vae: VAE) -> Judge | None:
    """Return the judge that a preset's objective learns from, or None if it does without.

    Raises RunError if it needs a judge and there is none, or if the images have no classes.
    """
    asking = [
        f"objective.{key}"
        for key in ("judged_rounds", "judged_encoder_steps")
        if getattr(preset.objective, key)
    ]
    if not asking:
        return None
    data = preset.data
    judge = judge_for_data(data.judge, data.dataset, vae, splits.classes)
    if judge is None:
        raise RunError(
            f"{asking[0]} needs a judge of the data set: train one with `training judge`, "
            "name it by data.judge, or set it to 0"
        )
    if splits.train.labels is None:
        raise RunError(f"{asking[0]} needs images with classes: set it to 0")
    return judge


def train_with_judge(
    vae: VAE,
    judge: Judge,
    splits: Splits,
    objective: Objective,
    *,
    seed: int,
    report: Callable[[str], None],
) -> None:
    """Train encoder and flow on with a judge, as the objective asks, in place.

    VAE and images must be on one device. `report` is called with the name of each stage. Rounds for the
    flow need labels of the images.
    """
    if objective.judged_encoder_steps:
        report("teaching the encoder to keep the classes that the judge sees")
        lessons = Lessons(objective.judged_encoder_steps)
        fit_encoder(vae, splits.train, judge.to(vae.device), objective, lessons, seed=seed)
    if objective.judged_rounds:
        report("fitting the flow to draws that the judge is sure of")
        rounds = Rounds(objective.judged_rounds, temperature=objective.judged_temperature)
        fit_flow_again(vae, judge, splits, rounds, seed)


def fit_flow_again(vae: VAE, judge: Judge, splits: Splits, rounds: Rounds, seed: int) -> None:
    """Fit the flow of a VAE to the draws that a judge is sure of, in place.

    `splits` must have labels. VAE and images must be on one device.
    """
    noise = torch.Generator(vae.device).manual_seed(seed)
    labels = splits.train.require_labels().long()
    counts = torch.bincount(labels, minlength=judge.head.out_features)
    fit_to_sure_draws(
        vae,
        encode(vae, splits.train, noise),
        sure_classes(vae, judge.to(vae.device)),
        counts / counts.sum(),
        rounds,
        seed=seed,
    )


def sure_classes(vae: VAE, judge: Judge) -> Classes:
    """Return a function from latents z to the classes of their images, -1 if the judge is not sure."""

    @torch.no_grad()
    def classes(z: Tensor) -> Tensor:
        judged = predict_latents(vae, judge, z, before_flow=True)
        return torch.where(judged.confidence >= SURE_PROBABILITY, judged.labels, -1)

    return classes
