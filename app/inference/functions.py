"""The functions of a loaded model as coroutines, whatever runs their batches."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import NotFiniteError
from app.inference.executor import Function
from app.inference.loaded_model import LoadedModel
from app.typing import Bytes, Floats
from model_store.preprocessing import from_bytes, to_bytes


class ModelFunctions(ABC):
    """Encode, decode and the other functions of a model, in terms of `_run`."""

    async def encode(self, model: LoadedModel, x: Floats) -> tuple[Floats, Floats]:
        """Return mu and logvar, both (batch, latent), in the space of u, where the prior is N(0, I).

        x is (batch, channels, height, width) in [0, 1].
        """
        mu, logvar = await self._run(model, "encode", x)
        return mu, logvar

    async def to_u(self, model: LoadedModel, z: Floats) -> Floats:
        """Map z of q(z | x) to u, the space in which the prior is N(0, I); both (batch, latent)."""
        if not model.has_flow:
            return z
        (u,) = await self._run(model, "to_u", z)
        return u

    async def to_z(self, model: LoadedModel, u: Floats) -> Floats:
        """Map u ~ N(0, I) to z of q(z | x); both (batch, latent).

        With a flow, the model must have directions before the flow.
        """
        if not model.has_flow:
            return u
        (z,) = await self._run(model, "to_z", u)
        return z

    async def decode(self, model: LoadedModel, z: Floats) -> Floats:
        """Decode z ~ N(0, I) (batch, latent) to mean images in [0, 1], (batch, channels, height, width)."""
        (images,) = await self._run(model, "decode", z)
        return from_bytes(images) if images.dtype == np.uint8 else images

    async def decode_levels(self, model: LoadedModel, z: Floats) -> Bytes:
        """Decode z ~ N(0, I) (batch, latent) to levels 0..255, (batch, channels, height, width)."""
        (images,) = await self._run(model, "decode", z)
        return images if images.dtype == np.uint8 else to_bytes(images)

    async def log_likelihood(self, model: LoadedModel, x: Floats, z: Floats) -> Floats:
        """Return ln p(x | z) of each pair, (batch,), nats; x (batch, ...), z ~ N(0, I) (batch, latent)."""
        (log_px,) = await self._run(model, "log_likelihood", x, z)
        return log_px

    async def posterior(self, model: LoadedModel, x: Floats) -> tuple[Floats, Floats]:
        """Return mu and logvar of q(z | x), before a flow, both (batch, latent); x (batch, ...) in [0, 1]."""
        mu, logvar = await self._run(model, "posterior" if model.has_flow else "encode", x)
        return mu, logvar

    async def log_joint(self, model: LoadedModel, x: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Return ln p(x | z) and ln p(z) of each pair, both (batch,), nats; z before a flow."""
        log_px, log_pz = await self._run(model, "log_joint", x, z)
        return log_px, log_pz

    @abstractmethod
    async def _run(
        self, model: LoadedModel, function: Function, *inputs: Floats
    ) -> tuple[NDArray[Any], ...]:
        """Compute a function for all rows of the inputs, (rows, ...); the results are checked."""


def check_finite(model: LoadedModel, function: Function, outputs: Sequence[NDArray[Any]]) -> None:
    """Raise NotFiniteError if a result is NaN or infinite, which grey levels (uint8) cannot be."""
    for output in outputs:
        if output.dtype != np.uint8 and not np.isfinite(output).all():
            raise NotFiniteError(
                f"{model.name}: {function} overflows for this input: its result is not finite"
            )
