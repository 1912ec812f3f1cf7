"""Functions of an encoder's output, the Gaussian posterior q(z | x) = N(mu, sigma^2)."""

import numpy as np
from numpy.typing import NDArray

from app.typing import Floats


def sample_posterior(mu: Floats, logvar: Floats, eps: Floats, temperature: float) -> Floats:
    """z = mu + temperature * sigma * eps; mu, logvar (latent,), eps (batch, latent) -> like eps.

    The reparameterisation of Kingma & Welling 2014, section 2.4.
    """
    sigma = np.exp(0.5 * logvar.astype(np.float64))
    return np.asarray(mu + temperature * sigma * eps, np.float32)


def kl_to_standard_normal(mu: Floats, logvar: Floats) -> NDArray[np.float64]:
    """KL(N(mu, sigma^2) || N(0, I)); both (batch, latent) -> (batch,), nats, >= 0.

    Kingma & Welling 2014, appendix B.
    """
    mu64, logvar64 = mu.astype(np.float64), logvar.astype(np.float64)
    kl = 0.5 * (np.square(mu64) + np.exp(logvar64) - 1.0 - logvar64)
    return np.asarray(kl.sum(axis=1))
