"""Fit a Gaussian mixture to uncertain points by expectation maximisation."""

import itertools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from model_store.class_latents import GaussianMixture

Covariance = Literal["diagonal", "full"]

LN_2PI = math.log(2 * math.pi)


class Parameters(NamedTuple):
    """A mixture during fitting; float64.

    weights (components,), means (components, latent), cholesky (components, latent, latent).
    """

    weights: Tensor
    means: Tensor
    cholesky: Tensor


def fit_mixture(
    mu: Tensor,
    variance: Tensor | None = None,
    *,
    components: int,
    covariance: Covariance,
    seed: int = 0,
    iterations: int = 100,
    tolerance_nats: float = 1e-4,
    ridge: float = 1e-4,
) -> GaussianMixture:
    """Fit by EM from k-means++ centres; stop when an iteration gains less than the tolerance.

    mu, variance (images, latent); None means variance 0. The tolerance is in nats per image;
    `ridge` is added to the variance.
    """
    variance = torch.zeros_like(mu) if variance is None else variance
    mu, variance = mu.double(), variance.double() + ridge
    steps = em_steps(mu, variance, components, covariance, torch.Generator().manual_seed(seed))
    fitted, bound = next(steps)
    for better, raised in itertools.islice(steps, iterations):
        gain, fitted, bound = raised - bound, better, raised
        if gain < tolerance_nats:
            break
    return _without_empty_components(fitted)


def em_steps(
    mu: Tensor, variance: Tensor, components: int, covariance: Covariance, noise: torch.Generator
) -> Iterator[tuple[Parameters, float]]:
    """Run EM for points z_i ~ N(mu_i, variance_i); yield parameters and bound after each step.

    The bound is the mean over i of ln sum_k w_k exp(E_i[ln N(z_i; m_k, S_k)]), in nats: at most
    the expected log-likelihood, equal to the log-likelihood if the variances are zero, and
    increased by every step. The variances must be positive, which also prevents a component from
    collapsing to a single point. All float64; mu, variance (images, latent).
    """
    nearest_centre = torch.cdist(mu, _centres(mu, components, noise)).argmin(dim=1)
    responsibility = torch.nn.functional.one_hot(nearest_centre, components).double()
    while True:
        parameters = _maximise(mu, variance, responsibility, covariance)
        joint = parameters.weights.log() + _expected_log_density(mu, variance, parameters)
        yield parameters, joint.logsumexp(dim=1).mean().item()
        responsibility = joint.softmax(dim=1)


def mixture_log_density(mixture: GaussianMixture, z: Tensor) -> Tensor:
    """Return ln of the mixture's density; z (images, latent) -> (images,), nats, float64."""
    parameters = _parameters(mixture)
    z = z.double()
    log_density = _expected_log_density(z, torch.zeros_like(z), parameters)
    return (parameters.weights.log() + log_density).logsumexp(dim=1)


def _centres(mu: Tensor, components: int, noise: torch.Generator) -> Tensor:
    """Choose centres by k-means++ (Arthur & Vassilvitskii 2007); (components, latent)."""
    first = torch.randint(len(mu), (1,), generator=noise)
    centres = mu[first]
    for _ in range(components - 1):
        squared = torch.cdist(mu, centres).amin(dim=1).square()
        chosen = torch.multinomial(squared + 1e-12, 1, generator=noise)
        centres = torch.cat((centres, mu[chosen]))
    return centres


def _maximise(
    mu: Tensor, variance: Tensor, responsibility: Tensor, covariance: Covariance
) -> Parameters:
    """Take the M step; responsibility (images, components)."""
    responsibility = responsibility + 1e-12  # keeps a component that lost all images defined
    counts = responsibility.sum(dim=0)
    weights = (responsibility / counts).T
    means = weights @ mu
    centred = mu - means.unsqueeze(1)  # (components, images, latent)
    spread = torch.diag_embed(weights @ variance)
    if covariance == "full":
        scatter = (centred * weights.unsqueeze(2)).transpose(1, 2) @ centred
    else:
        scatter = torch.diag_embed((centred.square() * weights.unsqueeze(2)).sum(dim=1))
    return Parameters(counts / counts.sum(), means, torch.linalg.cholesky(scatter + spread))


def _expected_log_density(mu: Tensor, variance: Tensor, parameters: Parameters) -> Tensor:
    """Return E[ln N(z; m_k, S_k)] for z ~ N(mu, variance); -> (images, components), nats."""
    centred = (mu - parameters.means.unsqueeze(1)).transpose(1, 2)
    whitened = torch.linalg.solve_triangular(parameters.cholesky, centred, upper=False)
    identity = torch.eye(mu.shape[1], dtype=mu.dtype)
    inverse = torch.linalg.solve_triangular(parameters.cholesky, identity, upper=False)
    trace = variance @ inverse.square().sum(dim=1).T
    log_det = 2 * parameters.cholesky.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    squared_distance = whitened.square().sum(dim=1).T
    minus_twice: Tensor = mu.shape[1] * LN_2PI + log_det + squared_distance + trace
    return -0.5 * minus_twice


def _without_empty_components(parameters: Parameters) -> GaussianMixture:
    used = parameters.weights > 1e-4
    weights, means, factors = (part[used].numpy() for part in parameters)
    return GaussianMixture(weights / weights.sum(), means, factors)


def _parameters(mixture: GaussianMixture) -> Parameters:
    return Parameters(
        *(torch.from_numpy(p.copy()) for p in (mixture.weights, mixture.means, mixture.factors))
    )
