"""An exact VAE on any executor, as the service and the measurements use it.

Public latents u have the prior N(0, I); z is the space of q(z | x). The flow maps z to u; without a
flow, u = z.
"""

import functools
import hashlib
from collections.abc import Sequence

import numpy as np

from model_store.arithmetic import importance, likelihood
from model_store.arithmetic.executors import Executor
from model_store.arithmetic.flow import ExactFlow, MakeExecutor
from model_store.arithmetic.program import Bytes, ExactNetwork, Floats
from model_store.spec import ModelSpec

FIXED_ROWS = 5
"""Number of rows of the fixed inputs whose results are hashed."""


class ExactModel:
    """The functions of one version, between numpy arrays whose first axis is the batch."""

    def __init__(self, network: ExactNetwork, spec: ModelSpec, make: MakeExecutor) -> None:
        self.spec = spec
        self._network = network
        self._make = make
        self._encode = make(network.encode, spec.image.shape)
        self.flow = ExactFlow(network.flow, spec.latent, make) if network.flow else None
        inverse = () if self.flow is None else self.flow.inverse_function
        self._decode = make((*inverse, *network.decode), (spec.latent,))
        self._logistic = (
            None if network.log_scale is None else likelihood.DiscretisedLogistic(network.log_scale)
        )

    def posterior(self, levels: Bytes) -> tuple[Floats, Floats]:
        """Return mu and logvar of q(z | x), both (batch, latent), of grey levels 0..255."""
        mu, logvar = np.split(self._encode(levels.astype(np.float32)), 2, axis=1)
        bound = self.spec.logvar_bound
        if bound is not None:
            logvar = np.clip(logvar, np.float32(-bound), np.float32(bound))
        return mu, logvar

    def encode(self, levels: Bytes) -> tuple[Floats, Floats]:
        """Return mu and logvar in the space of u, both (batch, latent), of grey levels 0..255."""
        mu, logvar = self.posterior(levels)
        return (mu, logvar) if self.flow is None else self.flow.gaussian_forward(mu, logvar)

    def to_u(self, z: Floats) -> Floats:
        """Map z to u; both (batch, latent)."""
        return z if self.flow is None else self.flow.forward(z)

    def to_z(self, u: Floats) -> Floats:
        """Map u to z; both (batch, latent)."""
        return u if self.flow is None else self.flow.inverse(u)

    def logits(self, z: Floats) -> Floats:
        """Return logits in units of 2^-8, (batch, channels, height, width), of z (batch, latent)."""
        return self._decode_z(z)

    def logits_of_u(self, u: Floats) -> Floats:
        """Return the logits of u, as `logits(to_z(u))` does, by one executor."""
        return self._decode(u)

    @functools.cached_property
    def _decode_z(self) -> Executor:
        """Executor of the decoder without the flow; made when it is first needed."""
        if self.flow is None:
            return self._decode
        return self._make(self._network.decode, (self.spec.latent,))

    def decode(self, u: Floats) -> Bytes:
        """Return grey levels of mean images (batch, channels, height, width) of u (batch, latent)."""
        return likelihood.grey_levels(self.logits_of_u(u))

    def log_likelihood(self, levels: Bytes, u: Floats) -> Floats:
        """Return ln p(x | u) of each pair of an image and a latent; (batch,), nats."""
        return self.log_likelihood_of_logits(levels, self.logits_of_u(u))

    def log_likelihood_of_logits(self, levels: Bytes, logits: Floats) -> Floats:
        """Return ln p(x | z) of grey levels and logits in units of 2^-8; (batch,), nats."""
        if self._logistic is None:
            return likelihood.bernoulli(levels, logits)
        return self._logistic(levels, logits)

    def log_joint(self, levels: Bytes, z: Floats) -> tuple[Floats, Floats]:
        """Return ln p(x | z) and ln p(z), both (batch,), nats; z in the space of q(z | x)."""
        log_px = self.log_likelihood_of_logits(levels, self.logits(z))
        return log_px, self.log_prior(z)

    def log_prior(self, z: Floats) -> Floats:
        """Return ln p(z); (batch, latent) -> (batch,), nats."""
        if self.flow is None:
            return importance.log_standard_normal(z).astype(np.float32)
        u, log_determinant = self.flow.forward_and_log_determinant(z)
        log_pu = importance.log_standard_normal(u)
        return (log_pu + log_determinant.astype(np.float64)).astype(np.float32)

    def hashes(self) -> dict[str, str]:
        """Return the SHA-256 of every function's results for the fixed inputs.

        Every machine and executor that computes exact-1 gives the same hashes.
        """
        levels, u = fixed_inputs(self.spec)
        mu, logvar = self.encode(levels)
        results: dict[str, Sequence[Floats | Bytes]] = {
            "encode": [mu, logvar],
            "decode": [self.decode(u)],
            "log_likelihood": [self.log_likelihood(levels, u)],
        }
        if self.flow is not None:
            results |= {"to_u": [self.to_u(u)], "to_z": [self.to_z(u)]}
        return {name: hash_arrays(arrays) for name, arrays in results.items()}


def fixed_inputs(spec: ModelSpec) -> tuple[Bytes, Floats]:
    """Return grey levels and latents of FIXED_ROWS images, computed from integers.

    For element i of either array, mixed = i * 2654435761 mod 2^32. A grey level is the highest 8
    bits of mixed; a latent is mixed / 2^30 - 2, rounded to float32.
    """
    images = _mixed(FIXED_ROWS * spec.image.channels * spec.image.height * spec.image.width)
    latents = _mixed(FIXED_ROWS * spec.latent)
    levels = (images >> np.uint64(24)).astype(np.uint8).reshape(FIXED_ROWS, *spec.image.shape)
    u = (latents.astype(np.float64) * 2.0**-30 - 2).astype(np.float32)
    return levels, u.reshape(FIXED_ROWS, spec.latent)


def _mixed(count: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(count, dtype=np.uint64) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)


def hash_arrays(arrays: Sequence[Floats | Bytes]) -> str:
    """Return the SHA-256 of the bytes of all arrays: little-endian, row-major."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
