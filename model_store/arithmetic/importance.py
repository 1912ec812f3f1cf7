"""ELBO and importance-weighted likelihood of images, from draws of their posteriors.

    z     = mu + sigma eps, eps ~ N(0, I)
    ln w  = ln p(x | z) + ln p(z) - ln q(z | x)
    ELBO  = mean of ln w over the draws
    NLL   = -ln(mean of w over the draws)

ELBO <= ln p(x), and -NLL is between both in expectation (Burda et al. 2016, "Importance weighted
autoencoders"). Sums are added in float64 from the first to the last, and exp and ln are correctly
rounded, so the results are the same on every machine.
"""

from typing import NamedTuple

import numpy as np

from model_store.arithmetic import rounding
from model_store.arithmetic.program import Floats
from model_store.arithmetic.rounding import Doubles

LOG_2_PI = 1.8378770664093453
"""ln(2 pi)."""


class Evidence(NamedTuple):
    """Estimates for each image, (images,), float32."""

    elbo: Floats
    """Nats."""
    nll: Floats
    """Importance-weighted -ln p(x), nats."""
    reconstruction: Floats
    """Mean of -ln p(x | z), nats."""
    kl: Floats
    """Mean of ln q(z | x) - ln p(z), nats: an estimate of KL(q(z | x) || p(z))."""
    effective_samples: Floats
    """(sum w)^2 / sum w^2, from 1 to the number of draws (Kong 1992)."""


def log_standard_normal(eps: Floats) -> Doubles:
    """Return ln N(eps; 0, I) over the last axis, nats."""
    latent = eps.shape[-1]
    squares = rounding.sequential_sum(np.square(eps.astype(np.float64)))
    return np.asarray(-0.5 * squares - 0.5 * latent * LOG_2_PI)


def log_posterior(eps: Floats, logvar: Floats) -> Doubles:
    """Return ln q(z | x) of z = mu + sigma eps; eps (images, draws, latent), logvar (images, latent).

    The result is (images, draws), nats.
    """
    log_sigma = 0.5 * rounding.sequential_sum(logvar)
    return np.asarray(log_standard_normal(eps) - log_sigma[:, None])


def evidence(log_px: Floats, log_pz: Floats, log_q: Doubles) -> Evidence:
    """Return the estimates from ln p(x | z), ln p(z) and ln q(z | x), each (images, draws), nats."""
    draws = log_px.shape[1]
    likelihood = log_px.astype(np.float64)
    divergence = log_q - log_pz.astype(np.float64)
    log_w = likelihood - divergence
    greatest = log_w.max(axis=1)
    w = rounding.exp(log_w - greatest[:, None]).astype(np.float64)
    total = rounding.sequential_sum(w)
    return Evidence(
        elbo=_mean(log_w),
        nll=(-(greatest + rounding.log(total / draws).astype(np.float64))).astype(np.float32),
        reconstruction=_mean(-likelihood),
        kl=_mean(divergence),
        effective_samples=(total * total / rounding.sequential_sum(w * w)).astype(np.float32),
    )


def _mean(values: Doubles) -> Floats:
    return np.asarray(rounding.sequential_sum(values) / values.shape[1], np.float32)
