"""A VAE of ONNX graphs with the interface of the float VAE: tensors in and out.

Measurements and figures of an imported version use it, so they describe the images that are served.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from model_store.graphs.network import MAX_LOGIT, Floats, GraphNetwork
from model_store.spec import ModelSpec
from model_store.vae.gaussian import standard_normal_log_density
from model_store.vae.likelihood import bernoulli_log_likelihood

ROWS_AT_ONCE = 64
"""Largest number of rows of a batch; larger batches need more memory and are no faster."""


class GraphVAE:
    """Graphs of ONNX, run by ONNX Runtime on the CPU; tensors are on the CPU, too."""

    has_flow = False

    def __init__(self, network: GraphNetwork) -> None:
        self.spec: ModelSpec = network.spec
        self.device = torch.device("cpu")
        self._network = network

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of q(z | x), both (batch, latent); x in [0, 1]."""
        parts = [self._network.encode(part) for part in _parts(x)]
        mu, logvar = (
            torch.cat([torch.from_numpy(pair[i]) for pair in parts]).to(x.device) for i in (0, 1)
        )
        return mu, logvar

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `posterior` does: without a flow, u is z."""
        return self.posterior(x)

    def log_prior(self, z: Tensor) -> Tensor:
        """Return ln p(z); (batch, latent) -> (batch,), nats."""
        return standard_normal_log_density(z)

    def z_to_u(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and zeros: there is no flow."""
        return z, torch.zeros_like(z[:, 0])

    def to_u(self, z: Tensor) -> Tensor:
        """Return z: there is no flow."""
        return z

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits of p(x | z), clamped to +-16; z (batch, latent) -> (batch, *image)."""
        parts = [torch.from_numpy(self._network.logits(part)) for part in _parts(z)]
        return torch.cat(parts).to(z.device)

    def decode(self, u: Tensor) -> Tensor:
        """Return what `logits` does: without a flow, u is z."""
        return self.logits(u)

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """Return the image that is shown, in [0, 1]; logits of +-16 are black and white."""
        return torch.where(
            x_logits.abs() >= MAX_LOGIT, (x_logits > 0).float(), torch.sigmoid(x_logits)
        )

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """Return ln p(x | z) of images and logits of one shape; (batch,), nats."""
        return bernoulli_log_likelihood(x, x_logits)


def _parts(rows: Tensor) -> Iterator[Floats]:
    """Yield the rows as arrays of at most ROWS_AT_ONCE rows."""
    array = np.ascontiguousarray(rows.detach().cpu().numpy(), np.float32)
    for start in range(0, max(1, len(array)), ROWS_AT_ONCE):
        yield array[start : start + ROWS_AT_ONCE]
