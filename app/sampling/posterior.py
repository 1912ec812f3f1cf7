"""Functions of an encoder's output, the Gaussian posterior q(z | x) = N(mu, sigma^2).

Results are correctly rounded to float32, so that they are the same on every machine.
"""

from decimal import Decimal

import numpy as np

from app.sampling.finite import check_float32
from app.typing import Floats
from model_store.arithmetic import rounding


def sample_posterior(mu: Floats, logvar: Floats, eps: Floats, temperature: float) -> Floats:
    """Return z = mu + temperature * sigma * eps; eps and z (batch, latent).

    mu and logvar are (latent,), or (batch, latent). The reparameterisation of Kingma & Welling 2014, section 2.4. Raises NotFiniteError.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        moved = temperature * np.exp(0.5 * logvar.astype(np.float64)) * eps
    check_float32(mu + moved, "z = mu + temperature * sigma * eps")

    def exactly(index: tuple[int, ...]) -> Decimal:
        context, row = rounding.DIGITS, index[-mu.ndim :]
        sigma = context.exp(context.divide(Decimal(float(logvar[row])), 2))
        scale = context.multiply(Decimal(temperature), Decimal(float(eps[index])))
        return context.add(Decimal(float(mu[row])), context.multiply(sigma, scale))

    errors = np.abs(moved) * rounding.ERROR + np.abs(mu) * 2.0**-52
    return rounding.to_float32(mu + moved, errors, exactly)


def kl_to_standard_normal(mu: Floats, logvar: Floats) -> Floats:
    """Return KL(N(mu, sigma^2) || N(0, I)); both (batch, latent) -> (batch,), nats, >= 0.

    Kingma & Welling 2014, appendix B. Raises NotFiniteError.
    """
    mu64, logvar64 = mu.astype(np.float64), logvar.astype(np.float64)
    with np.errstate(over="ignore"):
        variance = np.exp(logvar64)
    kl = rounding.sequential_sum(0.5 * (np.square(mu64) + variance - 1.0 - logvar64))
    check_float32(kl, "KL(q(z | x) || N(0, I))")
    size = 0.5 * (np.square(mu64) + variance + 1.0 + np.abs(logvar64)).sum(axis=1)

    def exactly(index: tuple[int, ...]) -> Decimal:
        context, total = rounding.DIGITS, Decimal(0)
        for m, lv in zip(mu64[index].tolist(), logvar64[index].tolist(), strict=True):
            mean, log_variance = Decimal(m), Decimal(lv)
            term = context.add(context.multiply(mean, mean), context.exp(log_variance))
            term = context.subtract(context.subtract(term, 1), log_variance)
            total = context.add(total, context.divide(term, 2))
        return total

    return rounding.to_float32(kl, size * rounding.ERROR, exactly)
