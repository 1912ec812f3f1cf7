"""Pixel models against closed forms: probabilities that sum to one, expectations, limits."""

import math

import pytest
import torch
from torch.distributions import Bernoulli

from model_store import bernoulli_log_likelihood, discretised_logistic_log_likelihood


def test_bernoulli_likelihood_of_binary_pixels_agrees_with_torch_distributions():
    generator = torch.Generator().manual_seed(3)
    x_logits = torch.randn(4, 1, 5, 5, generator=generator)
    x = torch.bernoulli(torch.full_like(x_logits, 0.5), generator=generator)
    expected = Bernoulli(logits=x_logits).log_prob(x).sum(dim=(1, 2, 3))
    torch.testing.assert_close(bernoulli_log_likelihood(x, x_logits), expected)


def test_likelihood_of_a_grey_pixel_is_the_expectation_over_binarized_ones():
    x_logits = torch.tensor([1.3]).reshape(1, 1, 1, 1)
    black, white, grey = (torch.full_like(x_logits, value) for value in (0.0, 1.0, 0.25))
    expected = 0.75 * bernoulli_log_likelihood(black, x_logits) + 0.25 * (
        bernoulli_log_likelihood(white, x_logits)
    )
    torch.testing.assert_close(bernoulli_log_likelihood(grey, x_logits), expected)


def test_a_coin_flip_decoder_pays_ln_two_per_pixel():
    x = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(4))
    log_px = bernoulli_log_likelihood(x, torch.zeros_like(x))
    torch.testing.assert_close(log_px, torch.full((3,), -784 * math.log(2.0)))


ALL_LEVELS = (torch.arange(256, dtype=torch.float64) / 255).reshape(256, 1, 1, 1)


def log_scale(scale: float) -> torch.Tensor:
    return torch.tensor(math.log(scale), dtype=torch.float64)


@pytest.mark.parametrize("mean", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("scale", [0.001, 0.02, 0.3, 5.0])
def test_the_probabilities_of_the_256_grey_levels_sum_to_one(mean: float, scale: float):
    means = torch.full_like(ALL_LEVELS, mean)
    log_px = discretised_logistic_log_likelihood(ALL_LEVELS, means, log_scale(scale))
    assert log_px.exp().sum().item() == pytest.approx(1.0, abs=1e-9)


def test_a_bin_holds_what_the_logistic_distribution_has_between_its_edges():
    mean, scale, level = 0.4, 0.05, 110
    edges = (torch.tensor([level - 0.5, level + 0.5], dtype=torch.float64) / 255 - mean) / scale
    lower, upper = torch.sigmoid(edges)
    x = ALL_LEVELS[level : level + 1]
    log_px = discretised_logistic_log_likelihood(x, torch.full_like(x, mean), log_scale(scale))
    assert log_px.item() == pytest.approx(math.log(upper - lower))


def test_a_far_away_mean_costs_much_but_stays_finite_in_single_precision():
    x, mean = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    narrow = torch.full((3, 1, 1), -9.0)
    log_px = discretised_logistic_log_likelihood(x, mean, narrow)
    assert torch.isfinite(log_px).all()
    assert log_px.item() < -1000


def test_each_channel_has_its_own_scale():
    x = torch.full((1, 3, 1, 1), 0.5)
    scales = torch.tensor([0.01, 0.1, 1.0]).log().reshape(3, 1, 1)
    together = discretised_logistic_log_likelihood(x, x, scales)
    apart = [discretised_logistic_log_likelihood(x[:, :1], x[:, :1], scale) for scale in scales]
    torch.testing.assert_close(together, torch.stack(apart).sum(dim=0))


def test_the_best_scale_is_the_one_that_the_noise_has():
    """A Gaussian of standard deviation s looks like a logistic one of scale about s sqrt(3)/pi."""
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(5))
    x = ((0.5 + 0.1 * noise).clamp(0, 1) * 255).round() / 255
    scales = [0.02, 0.055, 0.15]
    mean = torch.full_like(x, 0.5)
    fits = [
        discretised_logistic_log_likelihood(x, mean, torch.tensor(s).log()).mean() for s in scales
    ]
    assert max(fits) == fits[1]
