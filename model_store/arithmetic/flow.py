"""The flow of an exact network: both directions, its determinant, and the image of a Gaussian."""

import functools
from collections.abc import Callable, Sequence

import numpy as np

from model_store.arithmetic import rounding
from model_store.arithmetic.executors import Executor
from model_store.arithmetic.program import Coupling, Floats, FlowMap, Function

LOGVAR_EXPONENT = 8
"""logvar is rounded to multiples of 2^-8 before sigma is computed from it."""
LOGVAR_LIMIT = 32
"""logvar is clamped to [-32, 32] before sigma is computed from it."""


MakeExecutor = Callable[[Function, Sequence[int]], Executor]
"""Function of a function and a shape: makes the executor for inputs (batch, *shape)."""


class ExactFlow:
    """The map between z, the space of q(z | x), and u ~ N(0, I); both (batch, latent)."""

    def __init__(self, couplings: Sequence[Coupling], latent: int, make: MakeExecutor) -> None:
        self._latent = latent
        self._factor_ends = np.cumsum([coupling.changed(latent) for coupling in couplings])
        self._make = make
        self._forward = make((FlowMap(tuple(couplings), latent, inverse=False),), (latent,))
        self.inverse_function: Function = (FlowMap(tuple(couplings), latent, inverse=True),)

    @functools.cached_property
    def _inverse(self) -> Executor:
        """Executor of the inverse alone; made when it is first needed."""
        return self._make(self.inverse_function, (self._latent,))

    def forward(self, z: Floats) -> Floats:
        """Map z to u; both (batch, latent)."""
        return np.ascontiguousarray(self._forward(z)[:, : self._latent])

    def inverse(self, u: Floats) -> Floats:
        """Map u to z; both (batch, latent)."""
        return self._inverse(u)

    def log_determinant(self, z: Floats) -> Floats:
        """Return ln |det du/dz|; (batch, latent) -> (batch,), nats."""
        return self.forward_and_log_determinant(z)[1]

    def forward_and_log_determinant(self, z: Floats) -> tuple[Floats, Floats]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,), nats."""
        u, factors = np.split(self._forward(z), [self._latent], axis=1)
        logs = rounding.log(factors.astype(np.float64))
        total = np.zeros(len(z), np.float64)
        for coupling_logs in np.split(logs, self._factor_ends[:-1], axis=1):
            total += rounding.sequential_sum(coupling_logs)
        return np.ascontiguousarray(u), total.astype(np.float32)

    def gaussian_forward(self, mu: Floats, logvar: Floats) -> tuple[Floats, Floats]:
        """Return mean and ln variance of u for z ~ N(mu, exp(logvar)); all (batch, latent).

        To first order, a step of one sigma along an axis of z changes u by half the difference of
        its values at +sigma and -sigma. The variance of u is the sum of the squares of these changes.
        """
        batch, latent = mu.shape
        levels = np.rint(logvar * np.float32(2.0**LOGVAR_EXPONENT))
        grid = np.clip(
            levels, -LOGVAR_LIMIT * 2**LOGVAR_EXPONENT, LOGVAR_LIMIT * 2**LOGVAR_EXPONENT
        )
        sigma = rounding.exp(grid.astype(np.float64) * 2.0 ** -(LOGVAR_EXPONENT + 1))
        steps = sigma[:, :, None] * np.eye(latent, dtype=np.float32)
        z = np.concatenate([mu[:, None], mu[:, None] + steps, mu[:, None] - steps], axis=1)
        u = self.forward(z.reshape(-1, latent)).reshape(batch, 1 + 2 * latent, latent)
        mean, plus, minus = np.split(u, [1, 1 + latent], axis=1)
        halves = (plus - minus) * np.float32(0.5)
        squares = np.square(halves.astype(np.float64)).swapaxes(1, 2)
        return (
            np.ascontiguousarray(mean[:, 0]),
            rounding.log(rounding.sequential_sum(squares)),
        )
