"""Draws of the posterior of an upload, by which its likelihood is estimated."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.sampling.latents import standard_normal
from app.sampling.posterior import sample_posterior
from app.typing import Floats


class PosteriorDraws(NamedTuple):
    """Latents of one image, and the noise that they were made of; both (draws, latent)."""

    z: Floats
    eps: Floats


def draw_posterior(
    seed: NDArray[np.uint64], draws: int, mu: Floats, logvar: Floats
) -> PosteriorDraws:
    """Draw z = mu + sigma * eps; seed (1,), mu and logvar (latent,).

    The noise continues the latent that `/generate` makes of the seed, so more draws begin with those
    of fewer. Raises NotFiniteError.
    """
    eps = standard_normal(seed, draws * len(mu)).reshape(draws, -1)
    return PosteriorDraws(sample_posterior(mu, logvar, eps, 1.0), eps)
