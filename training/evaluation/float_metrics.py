"""Metrics of the float weights of an exact version, to compare with those of its exact network."""

from collections.abc import Mapping

import torch

from model_store.spec import Metric
from model_store.vae import VAE
from training.classifier.model import Judge
from training.data.images import Splits
from training.evaluation import classifier_metrics
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import bound_metrics, nll_metrics

PREFIX = "float_"
NAMES = {
    EvaluationLevel.BOUND: ("test_negative_elbo",),
    EvaluationLevel.FULL: ("test_nll", "samples_sure_share", "samples_frechet_distance"),
}
"""Metrics that are also measured on the float weights, by the first level that measures them."""


@torch.no_grad()
def measure(
    vae: VAE, splits: Splits, level: EvaluationLevel, judge: Judge | None
) -> dict[str, Metric]:
    """Measure the float network with the protocols and draws of the exact network.

    Latents are clamped as in training and in the exact network. An image that is binarized for the
    NLL may get the largest sigma that there is, and draws far beyond the clamp; a flow without the
    clamp would give it 10^18 nats.
    """
    vae.eval()
    metrics: dict[str, Metric] = {}
    with vae.clamping_latents():
        if level.includes(EvaluationLevel.BOUND):
            metrics |= bound_metrics(vae, splits)
        if level.includes(EvaluationLevel.FULL):
            metrics |= nll_metrics(vae, splits)
            if judge is not None:
                metrics |= classifier_metrics.measure_samples(vae, judge, splits)
    return named(metrics)


def named(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Return the metrics of a float network that NAMES lists, with names that begin with PREFIX."""
    return {
        f"{PREFIX}{name}": metrics[name].model_copy(
            update={"protocol": f"the float weights, not the exact ones; {metrics[name].protocol}"}
        )
        for names in NAMES.values()
        for name in names
        if name in metrics
    }


def are_complete(metrics: Mapping[str, Metric], beside: Mapping[str, Metric]) -> bool:
    """Return True if every exact metric that NAMES lists has its float metric."""
    wanted = {f"{PREFIX}{name}" for names in NAMES.values() for name in names if name in beside}
    return wanted <= metrics.keys()
