"""Closed forms and Monte Carlo as oracles for the mathematics of the latent space."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Normal, kl_divergence

from model_store.vae import (
    kl_between,
    kl_per_dimension,
    kl_to_standard_normal,
    normal_log_density,
    reparameterise,
)

finite = st.floats(-5, 5)


def some_posteriors() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    logvar = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    return mu, logvar


def test_kl_of_the_standard_normal_to_itself_is_zero():
    zeros = torch.zeros(2, 5)
    assert kl_to_standard_normal(zeros, zeros).tolist() == [0.0, 0.0]


def test_kl_of_a_shifted_unit_gaussian_is_half_the_squared_distance():
    mu = torch.tensor([[3.0, 4.0]])
    assert kl_to_standard_normal(mu, torch.zeros_like(mu)).item() == 12.5


@given(mu=finite, logvar=finite)
def test_kl_is_never_negative(mu: float, logvar: float):
    kl = kl_to_standard_normal(torch.tensor([[mu]]), torch.tensor([[logvar]]))
    assert kl.item() >= -1e-6


def test_kl_agrees_with_torch_distributions():
    mu, logvar = some_posteriors()
    standard = Normal(torch.zeros_like(mu), torch.ones_like(mu))
    expected = kl_divergence(Normal(mu, (0.5 * logvar).exp()), standard)
    torch.testing.assert_close(kl_per_dimension(mu, logvar), expected)
    torch.testing.assert_close(kl_to_standard_normal(mu, logvar), expected.sum(dim=1))


def test_kl_is_the_mean_of_the_log_density_ratio_under_the_posterior():
    mu, logvar = torch.tensor([[0.7, -0.3]]), torch.tensor([[0.4, -1.0]])
    eps = torch.randn(400_000, 2, generator=torch.Generator().manual_seed(1))
    z = reparameterise(mu, logvar, eps)
    zeros = torch.zeros_like(mu)
    ratio = normal_log_density(z, mu, logvar) - normal_log_density(z, zeros, zeros)
    standard_error = ratio.std().item() / math.sqrt(len(ratio))
    kl = kl_to_standard_normal(mu, logvar).item()
    assert ratio.mean().item() == pytest.approx(kl, abs=4 * standard_error)


def test_reparameterised_samples_have_the_mean_and_variance_of_the_posterior():
    mu, logvar = torch.tensor([[2.0]]), torch.tensor([[math.log(9.0)]])
    eps = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(2))
    z = reparameterise(mu, logvar, eps)
    assert z.mean().item() == pytest.approx(2.0, abs=4 * 3 / math.sqrt(200_000))
    assert z.var().item() == pytest.approx(9.0, rel=0.02)


def test_gradients_flow_through_the_sample_to_mu_and_logvar():
    mu = torch.tensor([[1.0]], requires_grad=True)
    logvar = torch.tensor([[0.0]], requires_grad=True)
    reparameterise(mu, logvar, torch.tensor([[3.0]])).sum().backward()
    assert mu.grad is not None
    assert logvar.grad is not None
    assert mu.grad.item() == 1.0
    assert logvar.grad.item() == 1.5  # d(sigma eps)/d(ln sigma^2) = sigma eps / 2


def test_the_normal_density_integrates_to_one():
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    mu, logvar = torch.tensor([[0.5], [0.3]], dtype=torch.float64)
    density = normal_log_density(z[:, None], mu, logvar).exp()
    assert torch.trapezoid(density, z).item() == pytest.approx(1.0, abs=1e-9)


def test_kl_between_two_gaussians_agrees_with_torch():
    mu, logvar = some_posteriors()
    other_mu, other_logvar = mu.flip(0) + 0.3, logvar.flip(0) - 0.2
    expected = kl_divergence(
        Normal(mu, torch.exp(0.5 * logvar)), Normal(other_mu, torch.exp(0.5 * other_logvar))
    ).sum(dim=1)
    torch.testing.assert_close(kl_between(mu, logvar, other_mu, other_logvar), expected)


def test_kl_between_a_gaussian_and_the_standard_normal_is_the_one_to_the_prior():
    mu, logvar = some_posteriors()
    zeros = torch.zeros_like(mu)
    torch.testing.assert_close(
        kl_between(mu, logvar, zeros, zeros), kl_to_standard_normal(mu, logvar)
    )
