"""Fit the flow of a run again, after its last epoch, to draws that the judge of the data set is sure of."""

import torch
from torch import Tensor

from model_store.vae import VAE
from training.classifier.model import SURE_PROBABILITY, Judge, judge_for_data
from training.config import Objective, Preset
from training.data.images import Splits
from training.errors import RunError
from training.evaluation.classifier_metrics import predict_latents
from training.fitting.prior import encode
from training.fitting.sure_draws import Classes, Rounds, fit_to_sure_draws


def judge_of_rounds(preset: Preset, splits: Splits, vae: VAE) -> Judge:
    """Return the judge that `objective.judged_rounds` needs; raises RunError if there is none."""
    data = preset.data
    judge = judge_for_data(data.judge, data.dataset, vae, splits.classes)
    if judge is None:
        raise RunError(
            "objective.judged_rounds needs a judge of the data set: train one with `training judge`, "
            "name it by data.judge, or set judged_rounds to 0"
        )
    if splits.train.labels is None:
        raise RunError("objective.judged_rounds needs images with classes: set it to 0")
    return judge


def rounds_of(objective: Objective) -> Rounds:
    """Return how often, and on which draws, an objective fits the flow again."""
    return Rounds(objective.judged_rounds, temperature=objective.judged_temperature)


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
