"""Mixtures of classes are fitted again to right draws: bright images are one class, dark ones the other."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.spec import MLP, ImageShape, ModelSpec
from model_store.vae import VAE
from training.classifier.model import Judge
from training.evaluation.class_mixtures import draw_of_class
from training.evaluation.judged_classes import fit_to_right_draws

SPEC = ModelSpec(network=MLP(hidden=(2,)), latent=2, image=ImageShape(height=4, width=4))


class Brightness(Judge):
    """A judge that calls bright images class 1."""

    def __init__(self) -> None:
        super().__init__(classes=2, width=1)
        self.head = nn.Linear(1, 2)
        self.head.weight.data = torch.tensor([[-50.0], [50.0]])
        self.head.bias.data = torch.tensor([25.0, -25.0])

    def features(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3)).unsqueeze(1)


@pytest.fixture(scope="module")
def vae() -> VAE:
    """Return a VAE whose images are the brighter the larger the first latent is."""
    vae = VAE(SPEC).eval().requires_grad_(False)
    first, last = vae.decoder[0], vae.decoder[2]  # type: ignore[index]
    first.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    first.bias.data.zero_()
    last.weight.data = torch.tensor([4.0, -4.0]).repeat(16, 1)
    last.bias.data.zero_()
    return vae


def overlapping() -> ClassLatents:
    """Return classes whose draws are often of the other class."""
    return ClassLatents(
        tuple(
            GaussianMixture(np.ones(1), np.array([[centre, 0.0]]), np.eye(2)[None])
            for centre in (-0.3, 0.3)
        )
    )


def shares_right(classes: ClassLatents) -> list[float]:
    noise = torch.Generator().manual_seed(1)
    first = [draw_of_class(classes, label, 1000, noise)[:, 0] for label in (0, 1)]
    return [float((first[0] < 0).double().mean()), float((first[1] > 0).double().mean())]


@torch.no_grad()
def test_draws_of_the_fitted_mixtures_are_right_more_often_and_as_varied_otherwise(vae: VAE):
    classes = overlapping()
    fitted = fit_to_right_draws(vae, Brightness(), classes, torch.tensor([1000, 1000]))
    assert max(shares_right(classes)) < 0.7
    assert min(shares_right(fitted)) > 0.85
    for mixture in fitted:
        assert (mixture.factors[0] @ mixture.factors[0].T)[1, 1] == pytest.approx(1, abs=0.15)
    again = fit_to_right_draws(vae, Brightness(), classes, torch.tensor([1000, 1000]))
    assert np.array_equal(again[0].means, fitted[0].means)


@torch.no_grad()
def test_a_mixture_with_too_few_right_draws_stays_as_it_is(vae: VAE):
    classes = overlapping()
    fitted = fit_to_right_draws(vae, Brightness(), classes, torch.tensor([9, 1000]))
    assert fitted[0] is classes[0]
    assert fitted[1] is not classes[1]
