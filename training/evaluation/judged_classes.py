"""Fit the mixtures of the classes again to those of their draws that the judge calls right.

The posteriors of a class reach into other classes: the judge gives one in nine reconstructions of
garments another class than the garment has. A mixture that is fitted to all of them draws such images,
too. Fitted again to the draws that are right, it keeps their variety and leaves the others out. See
docs/experiments.md for the numbers.
"""

from dataclasses import replace

import torch
from torch import Tensor

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.vae import TrainedVAE
from training.classifier.model import Judge
from training.evaluation.class_mixtures import IMAGES_PER_DIMENSION, draw_of_class
from training.evaluation.classifier_metrics import predict_latents
from training.evaluation.gaussian_mixture import fit_mixture
from training.progress import tracked

MOST_DRAWS = 2000
"""Draws of a class, at most; fewer if the class has fewer training images."""
ROUNDS = 3
"""Number of times that the mixtures are fitted again, each time to draws of the last ones."""
ITERATIONS = 30
"""Steps of expectation maximisation, at most."""


def fit_to_right_draws(
    vae: TrainedVAE, judge: Judge, classes: ClassLatents, images: Tensor, *, seed: int = 0
) -> ClassLatents:
    """Return mixtures that are fitted to right draws; `images` (classes,) counts training images.

    A mixture stays as it is if too few of its draws are right.
    """
    noise = torch.Generator().manual_seed(seed)
    for _ in tracked(range(ROUNDS)):
        mixtures = []
        for label, mixture in enumerate(classes.mixtures):
            z = draw_of_class(classes, label, min(int(images[label]), MOST_DRAWS), noise)
            judged = predict_latents(vae, judge, z, before_flow=classes.before_flow)
            right = z[judged.labels.cpu() == label]
            mixtures.append(_fitted_again(mixture, right, seed))
        classes = replace(classes, mixtures=tuple(mixtures))
    return classes


def _fitted_again(mixture: GaussianMixture, z: Tensor, seed: int) -> GaussianMixture:
    """Return a mixture of latents z (draws, latent) with at most as many components as before."""
    affordable = len(z) // (IMAGES_PER_DIMENSION * mixture.latent)
    if not affordable:
        return mixture
    components = min(len(mixture.weights), affordable)
    return fit_mixture(
        z, components=components, covariance="full", seed=seed, iterations=ITERATIONS
    )
