"""Latents on a grid: the prior N(0, 1) and every posterior N(mu, sigma^2), as integer frequencies.

A latent is an integer times 2^-6, in [-16, 16]. mu is rounded to this grid and sigma to a power of
2^(1/8), so a posterior is one of a few tables, moved to mu. The rounding does not make a file wrong:
bits back works with any posterior, and an image costs more bits by the KL divergence between both.
"""

import functools
import math

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.program import LATENT_LIMIT, Floats
from model_store.compression.ans import TOTAL, Distributions, Ints

GRID_EXPONENT = 6
"""Latents are multiples of 2^-6."""
LARGEST = LATENT_LIMIT * 2**GRID_EXPONENT
"""Largest latent, in steps of the grid."""
SIGMAS_PER_OCTAVE = 8
SIGMAS = SIGMAS_PER_OCTAVE * (GRID_EXPONENT + 1) + 1
"""Sigma number s is 2^(-s / 8): from 1 down to half a step of the grid."""
REACH = 5.5
"""Largest distance from mu in a posterior's table, in sigma."""
LOGVAR_STEP = -2 * math.log(2) / SIGMAS_PER_OCTAVE
"""Change of ln sigma^2 from one sigma to the next."""


Doubles = NDArray[np.float64]


class PosteriorTables:
    """The distributions of all sigmas; symbol k of a row is k - reach steps of the grid from mu."""

    def __init__(self) -> None:
        self._reaches = np.array([_reach(number) for number in range(SIGMAS)], np.int64)
        self.distributions = Distributions(
            [
                discretised_normal(sigma(number), int(reach))
                for number, reach in enumerate(self._reaches)
            ]
        )

    def rows_and_origins(self, mu: Floats, logvar: Floats) -> tuple[Ints, Ints]:
        """Return the row and the origin of each posterior; all (batch, latent).

        A latent, in steps of the grid, is a symbol's place minus the origin. A posterior that would
        leave the grid is moved inwards.
        """
        numbers = np.rint(logvar.astype(np.float64) * (1 / LOGVAR_STEP))
        rows = np.clip(numbers, 0, SIGMAS - 1).astype(np.int64)
        reach = self._reaches[rows]
        centre = np.rint(mu.astype(np.float64) * 2.0**GRID_EXPONENT)
        centre = np.clip(centre, reach - LARGEST, LARGEST - reach).astype(np.int64)
        return rows, self.distributions.first[rows] + reach - centre


@functools.cache
def prior_table() -> Distributions:
    """Return N(0, 1) on the grid; a symbol's place is latent + LARGEST."""
    return Distributions([discretised_normal(1.0, LARGEST)])


def discretised_normal(scale: float, reach: int) -> Ints:
    """Return the frequencies of -reach..reach steps under N(0, scale^2); (2 reach + 1,).

    The cumulative frequency below symbol k is the normal distribution's, times (2^24 - symbols),
    rounded, plus k, so that no frequency is below 1.
    """
    real = real_cumulative(scale, reach)
    return np.diff(np.rint(real).astype(np.int64) + np.arange(len(real)))


def real_cumulative(scale: float, reach: int) -> Doubles:
    """Return the cumulative frequencies before they are rounded; (2 reach + 2,).

    Their distance from a rounding boundary is larger than the error of any library's erf, so every
    machine rounds to the same integers. A test checks this for all tables.
    """
    steps = np.arange(-reach, reach) + 0.5
    edges = steps * (2.0**-GRID_EXPONENT / (scale * math.sqrt(2)))
    inner = [0.5 + 0.5 * math.erf(edge) for edge in edges.tolist()]
    return np.asarray(np.array([0.0, *inner, 1.0]) * (TOTAL - (2 * reach + 1)))


def sigma(number: int) -> float:
    """Return sigma of a row of the posterior tables."""
    return float(2.0 ** (-number / SIGMAS_PER_OCTAVE))


def _reach(number: int) -> int:
    return math.ceil(REACH * sigma(number) * 2.0**GRID_EXPONENT)
