"""Pixel models against closed forms: probabilities that sum to one, expectations, limits."""

import math

import pytest
import torch
from torch.distributions import Bernoulli
from torch.nn import functional as F

from model_store.vae import bernoulli_log_likelihood, discretised_logistic_log_likelihood


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


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 7, 11), (1, 1, 127), (1, 2, 2)])
@pytest.mark.parametrize("spread", [0.1, 5.0, 300.0])
def test_bernoulli_likelihood_is_the_sum_over_pixels_one_by_one(
    shape: tuple[int, ...], spread: float
):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(4, *shape, generator=generator)
    x_logits = spread * torch.randn(4, *shape, generator=generator)
    one_by_one = F.binary_cross_entropy_with_logits(x_logits.double(), x.double(), reduction="none")
    expected = -one_by_one.sum(dim=(1, 2, 3)).float()
    torch.testing.assert_close(bernoulli_log_likelihood(x, x_logits), expected)


def test_bernoulli_likelihood_of_several_latents_is_that_of_each():
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(4, 1, 5, 5, generator=generator)
    x_logits = torch.randn(4, 3, 1, 5, 5, generator=generator)
    apart = torch.stack([bernoulli_log_likelihood(x, x_logits[:, k]) for k in range(3)], dim=1)
    torch.testing.assert_close(bernoulli_log_likelihood(x.unsqueeze(1), x_logits), apart)


def test_bernoulli_likelihood_stands_zero_and_enormous_logits():
    x = torch.ones(3, 1, 28, 28)
    x_logits = torch.tensor([0.0, 1e4, -1e4]).reshape(3, 1, 1, 1).expand(3, 1, 28, 28)
    expected = torch.tensor([-784 * math.log(2), 0.0, -784e4])
    torch.testing.assert_close(bernoulli_log_likelihood(x, x_logits), expected)


def test_bernoulli_likelihood_has_the_derivatives_of_its_formula():
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(2, 1, 3, 4, dtype=torch.float64, generator=generator).requires_grad_()
    x_logits = torch.randn(2, 5, 1, 3, 4, dtype=torch.float64, generator=generator)
    x_logits = x_logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, x_logits: bernoulli_log_likelihood(x.unsqueeze(1), x_logits), (x, x_logits)
    )


@pytest.mark.parametrize("logit", [0.0, 200.0, -200.0])
def test_the_derivative_by_a_logit_is_the_pixel_minus_its_probability(logit: float):
    x = torch.full((1, 1, 2, 2), 0.25)
    x_logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    torch.autograd.backward(bernoulli_log_likelihood(x, x_logits))
    assert x_logits.grad is not None
    torch.testing.assert_close(x_logits.grad, x - torch.sigmoid(x_logits.detach()))


def test_logits_in_16_bits_are_summed_in_32():
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(4))
    log_px = bernoulli_log_likelihood(x, torch.zeros(2, 1, 28, 28, dtype=torch.bfloat16))
    torch.testing.assert_close(log_px, torch.full((2,), -784 * math.log(2)))


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
