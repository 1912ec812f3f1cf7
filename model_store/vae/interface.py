"""The interface of a VAE for measurements and figures, the same for every arithmetic."""

from typing import Protocol

import torch
from torch import Tensor

from model_store.spec import ModelSpec


class TrainedVAE(Protocol):
    """A VAE that is not trained any further: `VAE` in floats, or `ExactVAE`.

    Latents z and u are (batch, latent), images x (batch, channels, height, width) in [0, 1].
    """

    @property
    def spec(self) -> ModelSpec:
        """Return the spec that the network is built from."""

    @property
    def device(self) -> torch.device:
        """Return the device that takes and gives tensors."""

    @property
    def has_flow(self) -> bool:
        """Return True if the prior of z is a flow; z and u are the same without one."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of q(z | x), both (batch, latent)."""

    def log_prior(self, z: Tensor) -> Tensor:
        """Return ln p(z), (batch,), nats."""

    def z_to_u(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,)."""

    def logits(self, z: Tensor) -> Tensor:
        """Return the logits of p(x | z); (batch, channels, height, width)."""

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of images in the space of u, both (batch, latent)."""

    def to_u(self, z: Tensor) -> Tensor:
        """Map z to u."""

    def decode(self, u: Tensor) -> Tensor:
        """Return the logits of p(x | u); (batch, channels, height, width)."""

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """Return the image that is shown, in [0, 1]; shape of the logits."""

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """Return ln p(x | z), (batch,), nats; images and logits of one shape."""
