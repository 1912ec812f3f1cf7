"""A Gaussian mixture of a class's latents, so that a label can be asked for.

What is modelled is the class's aggregate posterior: the latents that the decoder has learnt to
decode for the images of that class, which are spread by sigma around every mu.

Measured on `lab` (10 epochs; 1,000 samples a class; right by the judge, recall of the class in
its features, ln density of held-out latents in nats):

    diagonal, 20 components, of mu and sigma     87.6 %   0.67   -23.2
    full, 2 components, of mu and sigma          90.5 %   0.66   -22.6
    full, 10 components, of mu and sigma         94.9 %   0.66   -21.4
    the same, sampled at temperature 0.9         96.5 %   0.61
    full, 10 components, of mu alone             96.1 %   0.59   -24.2

So: full covariances, sigma included; who wants cleaner samples lowers the temperature and gets
them with more variety than from mu alone. The temperature stays 1 where none is asked for.

Gaussians overlap where no image is, so a draw is kept only if p(class | z) is at least
MIN_CLASS_PROBABILITY.
Measured on `mnist@3` (500 samples a class):

    any draw              93.7 %   0.854
    at least 0.5          96.8 %   0.844      96 % kept
    at least 0.9          98.6 %   0.831      88 % kept
    at least 0.99         99.4 %   0.792      71 % kept
    any draw, 20 components instead of 10       94.3 %
    any draw of mixtures fitted to what is kept at 0.9, of 10 and 16 components    93.7 %, 93.9 %

Kept alone, classes have less variety than the prior has, so every component is STD_SCALE wider than it was
fitted. Measured on `mnist-flow@2` and `mnist@4` (as many samples of a class as test images; samples of
the prior that the judge calls by a class have a recall of 0.833 and 0.875):

    as fitted             99.1 %   0.802      98.4 %   0.814
    1.1 times as wide     98.8 %   0.838      97.9 %   0.843
    1.2 times as wide     98.2 %   0.865      97.1 %   0.853

Under a flow classes are fitted where q(z | x) is a Gaussian, and what is drawn goes through the flow: in
the space of N(0, I) they are bent. Measured on `mnist-flow` and `fashion-flow` (890 samples a class;
the first row by the cards of mnist-flow@2 and fashion-flow@1):

    in the space of N(0, I), at least 0.9     85.7 %   0.788     70.5 %   0.425
    in that of q(z | x), any draw             98.6 %   0.815     83.5 %   0.377
    the same, at least 0.9                    99.1 %   0.820     92.8 %   0.380
    the same, 20 components                   99.2 %   0.811     92.7 %   0.359
"""

import itertools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_store.class_latents import ClassLatents, GaussianMixture
from model_store.vae import VAE

Covariance = Literal["diagonal", "full"]

MIN_CLASS_PROBABILITY = 0.9
"""p(class | z) of what is drawn for a class."""
STD_SCALE = 1.1
"""Of a component's standard deviations, beside those that were fitted."""
MAX_COMPONENTS = 10
MAX_BYTES = 300_000
"""Of all classes together, in the store's 16 bits."""
IMAGES_PER_DIMENSION = 5
"""Of each component, at least; fewer give a covariance that is mostly the posterior's sigma."""

LN_2PI = math.log(2 * math.pi)


class Parameters(NamedTuple):
    """A mixture while it is fitted; float64.

    weights (components,), means (components, latent), cholesky (components, latent, latent).
    """

    weights: Tensor
    means: Tensor
    cholesky: Tensor


def class_mixtures(
    mu: Tensor,
    logvar: Tensor,
    labels: Tensor,
    *,
    components: int | None = None,
    covariance: Covariance = "full",
    before_flow: bool = False,
    seed: int = 0,
) -> ClassLatents:
    """One mixture a class, in the order of the classes, fitted to the class's posteriors.

    mu, logvar (images, latent), labels (images,), every class among them. `before_flow` says that they are
    those of q(z | x) under a flow. As many components as `affordable_components` where not given.
    """
    variance = logvar.exp()
    counts = torch.bincount(labels)
    if components is None:
        components = affordable_components(int(counts.min()), mu.shape[1], len(counts))
    fitted = tuple(
        fit_mixture(
            mu[labels == label],
            variance[labels == label],
            components=components,
            covariance=covariance,
            seed=seed,
        )
        for label in range(len(counts))
    )
    return ClassLatents(
        tuple(_widened(mixture) for mixture in fitted), MIN_CLASS_PROBABILITY, before_flow
    )


def _widened(mixture: GaussianMixture) -> GaussianMixture:
    return GaussianMixture(mixture.weights, mixture.means, STD_SCALE * mixture.factors)


def latents_of_class(
    vae: VAE, classes: ClassLatents, label: int, n: int, noise: torch.Generator
) -> Tensor:
    """n latents of a class in the space of N(0, I), on the CPU; (n, latent), float32."""
    shape = (n, classes.max_draws)
    uniforms = torch.rand(shape, generator=noise, dtype=torch.float64).tolist()
    eps = torch.randn((*shape, vae.spec.latent), generator=noise, dtype=torch.float64).numpy()
    drawn = [classes.draw(label, *one) for one in zip(uniforms, eps, strict=True)]
    z = torch.from_numpy(np.stack(drawn)).float()
    return vae.to_u(z.to(next(vae.parameters()).device)).cpu() if classes.before_flow else z


def affordable_components(images: int, latent: int, classes: int) -> int:
    """How many components a class of so many images may have; 1 to MAX_COMPONENTS."""
    bytes_a_component = 2 * (latent + latent * (latent + 1) // 2) * classes
    known = images // (IMAGES_PER_DIMENSION * latent)
    return max(1, min(MAX_COMPONENTS, known, MAX_BYTES // bytes_a_component))


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
    """EM from k-means++ centres until an iteration gains less than the tolerance an image.

    mu (images, latent), variance (images, latent) or none.
    """
    variance = torch.zeros_like(mu) if variance is None else variance
    mu, variance = mu.double(), variance.double() + ridge
    steps = em_steps(mu, variance, components, covariance, torch.Generator().manual_seed(seed))
    fitted, bound = next(steps)
    for better, raised in itertools.islice(steps, iterations):
        gain, fitted, bound = raised - bound, better, raised
        if gain < tolerance_nats:
            break
    return _value(fitted)


def em_steps(
    mu: Tensor, variance: Tensor, components: int, covariance: Covariance, noise: torch.Generator
) -> Iterator[tuple[Parameters, float]]:
    """Expectation maximisation for z_i ~ N(mu_i, variance_i); yields parameters and their bound.

    The bound is the mean over i of ln sum_k w_k exp(E_i[ln N(z_i; m_k, S_k)]), in nats: at most
    the expected log-likelihood, equal to the log-likelihood where the variances are zero, and
    raised by every step. The variances, which must be positive, also keep a component from
    closing in on a single point. All float64; mu, variance (images, latent).
    """
    nearest_centre = torch.cdist(mu, _centres(mu, components, noise)).argmin(dim=1)
    responsibility = torch.nn.functional.one_hot(nearest_centre, components).double()
    while True:
        parameters = _maximise(mu, variance, responsibility, covariance)
        joint = parameters.weights.log() + _expected_log_density(mu, variance, parameters)
        yield parameters, joint.logsumexp(dim=1).mean().item()
        responsibility = joint.softmax(dim=1)


def mixture_log_density(mixture: GaussianMixture, z: Tensor) -> Tensor:
    """ln of the mixture's density; z (images, latent) -> (images,), nats, float64."""
    parameters = _parameters(mixture)
    z = z.double()
    log_density = _expected_log_density(z, torch.zeros_like(z), parameters)
    return (parameters.weights.log() + log_density).logsumexp(dim=1)


def _centres(mu: Tensor, components: int, noise: torch.Generator) -> Tensor:
    """k-means++ (Arthur & Vassilvitskii 2007): far points are likelier; (components, latent)."""
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
    """The M step; responsibility (images, components)."""
    responsibility = responsibility + 1e-12  # a component that lost all images takes a bit of each
    counts = responsibility.sum(dim=0)
    share = (responsibility / counts).T
    means = share @ mu
    centred = mu - means.unsqueeze(1)  # (components, images, latent)
    spread = torch.diag_embed(share @ variance)
    if covariance == "full":
        scatter = (centred * share.unsqueeze(2)).transpose(1, 2) @ centred
    else:
        scatter = torch.diag_embed((centred.square() * share.unsqueeze(2)).sum(dim=1))
    return Parameters(counts / counts.sum(), means, torch.linalg.cholesky(scatter + spread))


def _expected_log_density(mu: Tensor, variance: Tensor, parameters: Parameters) -> Tensor:
    """E[ln N(z; m_k, S_k)] for z ~ N(mu, variance); -> (images, components), nats."""
    centred = (mu - parameters.means.unsqueeze(1)).transpose(1, 2)
    whitened = torch.linalg.solve_triangular(parameters.cholesky, centred, upper=False)
    identity = torch.eye(mu.shape[1], dtype=mu.dtype)
    inverse = torch.linalg.solve_triangular(parameters.cholesky, identity, upper=False)
    trace = variance @ inverse.square().sum(dim=1).T
    log_det = 2 * parameters.cholesky.diagonal(dim1=1, dim2=2).log().sum(dim=1)
    squared_distance = whitened.square().sum(dim=1).T
    minus_twice: Tensor = mu.shape[1] * LN_2PI + log_det + squared_distance + trace
    return -0.5 * minus_twice


def _value(parameters: Parameters) -> GaussianMixture:
    used = parameters.weights > 1e-4  # a component that lost all its images is no component
    weights, means, factors = (part[used].numpy() for part in parameters)
    return GaussianMixture(weights / weights.sum(), means, factors)


def _parameters(mixture: GaussianMixture) -> Parameters:
    return Parameters(
        *(torch.from_numpy(p.copy()) for p in (mixture.weights, mixture.means, mixture.factors))
    )
