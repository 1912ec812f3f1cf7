"""The flow of an exact network: both directions, its determinant, and the image of a Gaussian.

A coupling's net is an exact function. Its raw scale r becomes a factor exp(2 tanh(r / 2)) from a
table over multiples of 2^-12, and every step on the changed dimensions is one float32 operation.
"""

import functools
from collections.abc import Sequence

import numpy as np

from model_store.arithmetic import rounding
from model_store.arithmetic.executors import Executor
from model_store.arithmetic.program import Coupling, Floats

RAW_EXPONENT = 12
"""Raw scales are rounded to multiples of 2^-12."""
RAW_LIMIT = 12
"""Raw scales are clamped to [-12, 12], beyond which tanh(r / 2) is 1 to within 2^-16."""
MAX_LOG_SCALE = 2.0
"""Largest ln of the factor by which a coupling scales a dimension."""
LOGVAR_EXPONENT = 8
"""logvar is rounded to multiples of 2^-8 before sigma is computed from it."""
LOGVAR_LIMIT = 32
"""logvar is clamped to [-32, 32] before sigma is computed from it."""

Nets = Sequence[Executor]


class ExactFlow:
    """The map between z, the space of q(z | x), and u ~ N(0, I); both (batch, latent)."""

    def __init__(self, couplings: Sequence[Coupling], nets: Nets, latent: int) -> None:
        self._steps = [
            (slice(coupling.kept, latent, 2), slice(1 - coupling.kept, latent, 2), net)
            for coupling, net in zip(couplings, nets, strict=True)
        ]

    def forward(self, z: Floats) -> Floats:
        """Map z to u; both (batch, latent)."""
        u = z.copy()
        for kept, changed, net in self._steps:
            raw, shift = np.split(net(np.ascontiguousarray(u[:, kept])), 2, axis=1)
            u[:, changed] = u[:, changed] * factor(raw) + shift
        return u

    def inverse(self, u: Floats) -> Floats:
        """Map u to z; both (batch, latent)."""
        z = u.copy()
        for kept, changed, net in reversed(self._steps):
            raw, shift = np.split(net(np.ascontiguousarray(z[:, kept])), 2, axis=1)
            z[:, changed] = (z[:, changed] - shift) * factor(-raw)
        return z

    def log_determinant(self, z: Floats) -> Floats:
        """Return ln |det du/dz|; (batch, latent) -> (batch,), nats."""
        return self.forward_and_log_determinant(z)[1]

    def forward_and_log_determinant(self, z: Floats) -> tuple[Floats, Floats]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,), nats."""
        u, total = z.copy(), np.zeros(len(z), np.float64)
        for kept, changed, net in self._steps:
            raw, shift = np.split(net(np.ascontiguousarray(u[:, kept])), 2, axis=1)
            factors = factor(raw)
            total += rounding.sequential_sum(rounding.log(factors.astype(np.float64)))
            u[:, changed] = u[:, changed] * factors + shift
        return u, total.astype(np.float32)

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
        around = np.concatenate([mu[:, None] + steps, mu[:, None] - steps], axis=1)
        moved = self.forward(around.reshape(-1, latent)).reshape(batch, 2, latent, latent)
        halves = (moved[:, 0] - moved[:, 1]) * np.float32(0.5)
        squares = np.square(halves.astype(np.float64)).swapaxes(1, 2)
        return self.forward(mu), rounding.log(rounding.sequential_sum(squares))


def factor(raw: Floats) -> Floats:
    """Return exp(2 tanh(raw / 2)) of raw scales; same shape."""
    levels = np.rint(raw * np.float32(2.0**RAW_EXPONENT))
    limit = RAW_LIMIT * 2**RAW_EXPONENT
    table = _factors()
    return np.asarray(table[np.clip(levels, -limit, limit).astype(np.intp) + limit])


@functools.cache
def _factors() -> Floats:
    """Return the table of factors; index 0 belongs to the raw scale -RAW_LIMIT."""
    limit = RAW_LIMIT * 2**RAW_EXPONENT
    raw = np.arange(-limit, limit + 1) * 2.0**-RAW_EXPONENT
    return np.asarray(np.exp(MAX_LOG_SCALE * np.tanh(raw / 2)), np.float32)
