"""Gaussians in the latent space: pure functions that take their randomness as an argument.

Divergences and densities are in nats, one value per sample (or per latent dimension), summed over
latent dimensions; only the training loop averages over the batch.
"""

import math

import torch
from torch import Tensor

LN_2PI = math.log(2 * math.pi)


def reparameterise(mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """Return z = mu + sigma * eps; all (batch, latent).

    With eps ~ N(0, I), z ~ N(mu, sigma^2), differentiable in mu and logvar.
    Kingma & Welling 2014, section 2.4.
    """
    sigma = torch.exp(0.5 * logvar)
    return mu + sigma * eps


def kl_per_dimension(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, sigma^2) || N(0, 1)) per dimension; (batch, latent) -> same, nats, >= 0."""
    return 0.5 * (mu.square() + logvar.exp() - 1.0 - logvar)


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, sigma^2) || N(0, I)); (batch, latent) -> (batch,), nats, >= 0.

    Kingma & Welling 2014, appendix B.
    """
    return kl_per_dimension(mu, logvar).sum(dim=1)


def kl_between(mu: Tensor, logvar: Tensor, other_mu: Tensor, other_logvar: Tensor) -> Tensor:
    """Return KL(N(mu, sigma^2) || N(other_mu, other_sigma^2)) in nats, >= 0.

    All arguments are (batch, latent), the result (batch,).
    """
    ratio = logvar - other_logvar
    distance = (mu - other_mu).square() / other_logvar.exp()
    return 0.5 * (ratio.exp() + distance - 1.0 - ratio).sum(dim=1)


def standard_normal_log_density(z: Tensor) -> Tensor:
    """Return ln N(z; 0, I); (..., latent) -> (...), nats."""
    return -0.5 * (LN_2PI + z.square()).sum(dim=-1)


def normal_log_density(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """Return ln N(z; mu, sigma^2), summed over the last axis; (..., latent) -> (...), nats."""
    squared_distance = (z - mu).square() / logvar.exp()
    return -0.5 * (LN_2PI + logvar + squared_distance).sum(dim=-1)
