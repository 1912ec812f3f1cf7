"""The negative log-likelihood -ln p(x), estimated by importance sampling.

    p(x) = E_q[w],  w = p(x | z) p(z) / q(z | x),  estimated by the mean of L weights

ln of that mean is at most ln p(x) in expectation and rises to it with L (Burda et al. 2016,
"Importance weighted autoencoders", section 3), so on average the NLL is
overestimated. The effective sample size (sum w)^2 / sum w^2, between 1 and L (Kong 1992), shows how
well q fits.

For a few images the estimate may be absurdly large, for example because their latents lie far beyond
those that a flow was trained on. They would dominate the mean over images, so an image counts
`most_nats` at most.

Images are binarized again for each seed (Salakhutdinov & Murray 2008), because the likelihood of a
grey image under a Bernoulli model is not a density.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.spec import ModelSpec
from model_store.vae import TrainedVAE, bernoulli_log_likelihood, normal_log_density
from training.data.images import affordable_batch
from training.fitting.targets import binarize
from training.progress import tracked

Propose = Callable[[int], tuple[Tensor, Tensor]]
"""k -> k draws z (images, k, latent) from q(z | x), and ln q(z | x) (images, k), nats."""

LogJoint = Callable[[Tensor], Tensor]
"""z (images, k, latent) -> ln p(x | z) + ln p(z) (images, k), nats."""

LogPrior = Callable[[Tensor], Tensor]
"""z (n, latent) -> ln p(z) (n,), nats."""


UNIFORM_TIMES = 10
"""Ratio of `most_nats` to the NLL of an image under a uniform distribution over all images."""


def most_nats(spec: ModelSpec) -> float:
    """Return the nats that an image counts with at most in a mean."""
    values = 2 if spec.likelihood == "bernoulli" else 256
    return UNIFORM_TIMES * spec.image.pixels * math.log(values)


def bounded(nats: Tensor, most: float) -> Tensor:
    """Return nats of at most `most`; NaN becomes `most`, too."""
    return nats.nan_to_num(nan=most, posinf=most).clamp_max(most)


class ImportanceEstimate(NamedTuple):
    """Estimates for each image, (images,): `nll` in nats, `effective_samples` between 1 and L."""

    nll: Tensor
    effective_samples: Tensor


@dataclass(frozen=True)
class MeanNLL:
    """Mean NLL of a split, in nats, for each seed of the draws, and of the binarization if any."""

    per_seed: tuple[float, ...]
    effective_samples: float
    """Mean over images and seeds."""
    samples: int
    """L, the number of draws of z per image."""
    images: int
    bounded_images: int = 0
    """Number of images that counted `most_nats` for at least one seed."""

    @property
    def mean(self) -> float:
        """Mean over images and seeds, nats."""
        return statistics.fmean(self.per_seed)

    @property
    def std(self) -> float:
        """Sample standard deviation of the split's mean over seeds, nats; 0 for one seed."""
        return statistics.stdev(self.per_seed) if len(self.per_seed) > 1 else 0.0


def mean_nll(estimates: Sequence[ImportanceEstimate], samples: int, most: float) -> MeanNLL:
    """Average estimates of the same images, one for each seed; an image counts at most `most`."""
    beyond = torch.stack([~(estimate.nll <= most) for estimate in estimates]).any(dim=0)
    return MeanNLL(
        tuple(bounded(estimate.nll, most).mean().item() for estimate in estimates),
        statistics.fmean(estimate.effective_samples.mean().item() for estimate in estimates),
        samples,
        len(beyond),
        int(beyond.sum()),
    )


def importance_estimate(
    propose: Propose, log_joint: LogJoint, samples: int, chunk: int = 16
) -> ImportanceEstimate:
    """Estimate from L = `samples` draws per image, at most `chunk` of them at a time.

    The sums of weights and of squared weights are kept as logarithms: memory is bounded by one
    chunk, and no weight overflows.
    """
    log_sum: Tensor | None = None
    log_sum_of_squares: Tensor | None = None
    for drawn in tracked(range(0, samples, chunk)):
        z, log_q = propose(min(chunk, samples - drawn))
        log_weights = (log_joint(z) - log_q).double()
        first, second = log_weights.logsumexp(dim=1), (2 * log_weights).logsumexp(dim=1)
        log_sum = first if log_sum is None else torch.logaddexp(log_sum, first)
        log_sum_of_squares = (
            second if log_sum_of_squares is None else torch.logaddexp(log_sum_of_squares, second)
        )
    if log_sum is None or log_sum_of_squares is None:
        raise ValueError(f"importance sampling needs at least one sample, got {samples}")
    return ImportanceEstimate(
        nll=math.log(samples) - log_sum,
        effective_samples=(2 * log_sum - log_sum_of_squares).exp(),
    )


@torch.inference_mode()
def vae_importance_estimate(
    vae: TrainedVAE,
    x: Tensor,
    samples: int,
    noise: torch.Generator,
    *,
    log_prior: LogPrior | None = None,
    images_at_once: int = 50,
    chunk: int = 16,
) -> ImportanceEstimate:
    """Estimate -ln p(x) of images x (images, channels, height, width); q is the VAE's encoder.

    If `log_prior` is None, the VAE's prior is used. `images_at_once` times `chunk` latents are
    decoded at a time, fewer if images are large. A `noise` generator on the CPU gives the same draws
    for any device of x.
    """
    log_prior = log_prior or vae.log_prior
    at_once = affordable_batch(images_at_once, vae.spec.image.pixels)
    parts = [
        importance_estimate(
            _proposal(*vae.posterior(part), noise), _log_joint(vae, part, log_prior), samples, chunk
        )
        for part in tracked(torch.split(x, at_once))
    ]
    nll, effective_samples = (torch.cat(column) for column in zip(*parts, strict=True))
    return ImportanceEstimate(nll, effective_samples)


def binarized_nll(
    vae: TrainedVAE,
    x: Tensor,
    samples: int,
    seeds: Sequence[int],
    *,
    log_prior: LogPrior | None = None,
    images_at_once: int = 50,
    chunk: int = 16,
) -> MeanNLL:
    """Estimate the mean NLL of grey images x in [0, 1], binarized again for each seed.

    A seed determines the binarization and the draws of z. Raises ValueError if there is no seed.
    """
    if not seeds:
        raise ValueError("a binarization needs a seed, got none")
    estimates = []
    for seed in tracked(seeds):
        noise = torch.Generator().manual_seed(seed)
        estimates.append(
            vae_importance_estimate(
                vae,
                binarize(x, noise),
                samples,
                noise,
                log_prior=log_prior,
                images_at_once=images_at_once,
                chunk=chunk,
            )
        )
    return mean_nll(estimates, samples, most_nats(vae.spec))


def _proposal(mu: Tensor, logvar: Tensor, noise: torch.Generator) -> Propose:
    """Return a function that draws from N(mu, sigma^2) of each image; mu, logvar (images, latent)."""
    mu, logvar = mu.unsqueeze(1), logvar.unsqueeze(1)
    sigma = torch.exp(0.5 * logvar)

    def propose(k: int) -> tuple[Tensor, Tensor]:
        shape = (len(mu), k, mu.shape[2])
        eps = torch.randn(shape, generator=noise, device=noise.device).to(mu.device)
        z = mu + sigma * eps
        return z, normal_log_density(z, mu, logvar)

    return propose


def _log_joint(vae: TrainedVAE, x: Tensor, log_prior: LogPrior) -> LogJoint:
    def log_joint(z: Tensor) -> Tensor:
        flat = z.flatten(end_dim=1)
        x_logits = vae.logits(flat)
        x_logits = x_logits.view(*z.shape[:2], *x_logits.shape[1:])
        return _log_likelihood(vae, x, x_logits) + log_prior(flat).view(z.shape[:2])

    return log_joint


def _log_likelihood(vae: TrainedVAE, x: Tensor, x_logits: Tensor) -> Tensor:
    """Return ln p(x | z) of k latents per image; x (images, ...), x_logits (images, k, ...)."""
    if vae.spec.likelihood == "bernoulli":  # broadcasts, without copying the image for each latent
        return bernoulli_log_likelihood(x.unsqueeze(1), x_logits)
    images, k = x_logits.shape[:2]
    repeated = x.repeat_interleave(k, dim=0)
    return vae.log_likelihood(repeated, x_logits.flatten(end_dim=1)).view(images, k)
