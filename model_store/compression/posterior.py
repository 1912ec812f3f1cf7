"""Posteriors of a batch of images, by which the codec pops latents and pushes them back.

Bits back works with any posterior that the decoder can compute from the image; a poor one only makes
files larger. Without a flow, the posterior is the encoder's Gaussian q(z | x). With a flow, the
dimensions of z are not independent under the prior, so the codec uses the public latents u. There,
q(u | x) is a Gaussian with independent dimensions, whose precisions come from the flow, linearised
at the mean.
"""

import numpy as np

from model_store.arithmetic import rounding
from model_store.arithmetic.flow import LOGVAR_EXPONENT, LOGVAR_LIMIT, ExactFlow
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Bytes, Floats
from model_store.compression.ans import Ints, Message
from model_store.compression.gaussian import Doubles, PosteriorTables
from model_store.errors import DamagedFileError

STEP_EXPONENT = 6
"""Derivatives of the flow are central differences with a step of 2^-6."""
NARROWING = 2.5
"""Factor of the precisions of u, because the flow is not linear.

Bytes per image for mnist-flow and fashion-flow: 122.9 and 360.9 with 1, 120.6 and 353.9 with 2,
120.6 and 352.9 with 3; 221.7 and 538.2 with the variances of u instead of its precisions; 115.7 and
346.5 would be possible with a code for the prior of z.
"""
LEAST_PRECISION = 2.0**-20


class Posterior:
    """Gaussian with independent dimensions, N(mu, exp(logvar)); mu, logvar (batch, latent)."""

    def __init__(self, tables: PosteriorTables, mu: Floats, logvar: Floats) -> None:
        self._distributions = tables.distributions
        self._rows, self._origins = tables.rows_and_origins(mu, logvar)

    def pop(self, message: Message) -> Ints:
        """Pop latents, in steps of the grid; (batch, latent)."""
        return message.pop(self._distributions, self._rows) - self._origins

    def push(self, message: Message, latents: Ints) -> None:
        """Undo `pop`; raises DamagedFileError for latents that it cannot have popped."""
        places = latents + self._origins
        if not self._distributions.holds(self._rows, places):
            raise DamagedFileError("a latent does not fit its image: the file was changed")
        message.push(self._distributions, places)


class Posteriors:
    """Computes the posteriors of batches of images."""

    def __init__(self, model: ExactModel) -> None:
        self._model = model
        self._tables = PosteriorTables()

    def __call__(self, levels: Bytes) -> Posterior:
        """Return the posterior of public latents; levels (batch, channels, height, width)."""
        mu, logvar = self._model.posterior(levels)
        if self._model.flow is not None:
            mu, logvar = through_flow(self._model.flow, mu, logvar)
        return Posterior(self._tables, mu, logvar)


def through_flow(flow: ExactFlow, mu: Floats, logvar: Floats) -> tuple[Floats, Floats]:
    """Return the mean of u, and ln variance of each dimension given the others; both (batch, latent).

    With J the derivative of z by u at the mean, the precisions are the diagonal of
    J^T diag(1 / sigma^2) J, times NARROWING.
    """
    batch, latent = mu.shape
    mean = flow.forward(mu)
    steps = np.eye(latent, dtype=np.float32) * np.float32(2.0**-STEP_EXPONENT)
    around = np.concatenate([mean[:, None] + steps, mean[:, None] - steps], axis=1)
    z = flow.inverse(around.reshape(-1, latent)).reshape(batch, 2, latent, latent)
    derivative = (z[:, 0] - z[:, 1]).astype(np.float64) * 2.0 ** (STEP_EXPONENT - 1)
    scaled = derivative * _inverse_sigma(logvar)[:, None, :]  # (batch, dimension of u, of z)
    precision = rounding.sequential_sum(np.square(scaled)) * NARROWING
    return mean, -rounding.log(np.maximum(precision, LEAST_PRECISION))


def _inverse_sigma(logvar: Floats) -> Doubles:
    """Return exp(-logvar / 2), with logvar rounded to 2^-8; same shape."""
    levels = np.rint(logvar.astype(np.float64) * 2.0**LOGVAR_EXPONENT)
    limit = LOGVAR_LIMIT * 2**LOGVAR_EXPONENT
    grid = np.clip(levels, -limit, limit)
    return rounding.exp(grid * -(2.0 ** -(LOGVAR_EXPONENT + 1))).astype(np.float64)
