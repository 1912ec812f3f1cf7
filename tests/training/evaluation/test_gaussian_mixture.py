"""Fit mixtures to clusters with known parameters."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from model_store.class_latents import GaussianMixture
from training.evaluation.gaussian_mixture import (
    Covariance,
    em_steps,
    fit_mixture,
    mixture_log_density,
)

WEIGHTS = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
MEANS = torch.tensor([[0.0, 4.0], [4.0, 0.0], [-4.0, -4.0]], dtype=torch.float64)
FACTOR = torch.tensor([[0.8, 0.0], [0.5, 0.3]], dtype=torch.float64)


def made_clusters(images: int = 6000) -> Tensor:
    noise = torch.Generator().manual_seed(0)
    component = torch.multinomial(WEIGHTS, images, replacement=True, generator=noise)
    eps = torch.randn(images, 2, generator=noise, dtype=torch.float64)
    return MEANS[component] + eps @ FACTOR.T


def covariance_of(mixture: GaussianMixture, component: int) -> Tensor:
    factor = torch.tensor(mixture.factors[component])
    return factor @ factor.T


def test_the_mixture_recovers_the_parameters_of_generated_clusters():
    mixture = fit_mixture(made_clusters(), components=3, covariance="full")
    order = sorted(range(3), key=lambda k: mixture.weights[k])
    torch.testing.assert_close(
        torch.tensor([mixture.weights[k] for k in order]).double(), WEIGHTS, atol=0.02, rtol=0
    )
    for k, mean in zip(order, MEANS, strict=True):
        torch.testing.assert_close(torch.tensor(mixture.means[k]).double(), mean, atol=0.06, rtol=0)
        torch.testing.assert_close(covariance_of(mixture, k), FACTOR @ FACTOR.T, atol=0.06, rtol=0)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("spread", [0.001, 0.5])
def test_no_step_of_em_lowers_the_bound(covariance: Covariance, spread: float):
    noise = torch.Generator().manual_seed(1)
    mu = torch.randn(400, 5, generator=noise, dtype=torch.float64).exp()
    variance = spread * torch.rand(400, 5, generator=noise, dtype=torch.float64) + 1e-6
    steps = em_steps(mu, variance, 4, covariance, noise)
    bounds = [bound for _, bound in itertools.islice(steps, 60)]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(bounds))
    assert bounds[-1] > bounds[0] + 0.1


def test_without_variances_the_bound_is_the_log_likelihood():
    mu = made_clusters(500)
    mixture = fit_mixture(mu, components=3, covariance="full", ridge=1e-9)
    steps = em_steps(mu, torch.full_like(mu, 1e-9), 3, "full", torch.Generator().manual_seed(0))
    *_, (_, bound) = itertools.islice(steps, 60)
    assert mixture_log_density(mixture, mu).mean().item() == pytest.approx(bound, abs=1e-3)


def test_the_variance_of_the_points_is_added_to_the_covariance():
    mu = made_clusters(2000)
    alone = fit_mixture(mu, components=1, covariance="full", ridge=1e-9)
    variance = torch.tensor([0.3, 2.0], dtype=torch.float64).expand_as(mu)
    spread = fit_mixture(mu, variance, components=1, covariance="full", ridge=1e-9)
    added = covariance_of(spread, 0) - covariance_of(alone, 0)
    torch.testing.assert_close(added, torch.diag(variance[0]), atol=1e-3, rtol=0)


def test_the_density_of_a_mixture_integrates_to_one():
    mixture = fit_mixture(made_clusters(), components=3, covariance="diagonal")
    axis = torch.linspace(-12, 12, 401)
    grid = torch.cartesian_prod(axis, axis)
    step = (axis[1] - axis[0]).item()
    assert mixture_log_density(mixture, grid).exp().sum().item() * step**2 == pytest.approx(
        1, abs=1e-3
    )


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_samples_have_the_moments_of_the_mixture(covariance: Covariance):
    data = made_clusters()
    mixture = fit_mixture(data, components=3, covariance=covariance)
    noise = np.random.default_rng(0)
    drawn = [mixture.sample(noise.random(), noise.standard_normal(2)) for _ in range(20_000)]
    samples = torch.from_numpy(np.stack(drawn))
    torch.testing.assert_close(samples.mean(0), data.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(samples.var(0), data.var(0), atol=0.3, rtol=0)


def test_more_components_than_clusters_still_fit():
    mixture = fit_mixture(torch.ones(50, 2), components=4, covariance="full")
    assert sum(mixture.weights) == pytest.approx(1, abs=1e-3)
    assert mixture.means[0].tolist() == pytest.approx([1, 1])
