"""The variational autoencoder: q(z | x) and p(x | z) as one module.

Kingma & Welling 2014, "Auto-encoding variational Bayes".
"""

from typing import cast

import torch
from torch import Tensor, nn

from model_store.likelihood import (
    bernoulli_log_likelihood,
    discretised_logistic_log_likelihood,
)
from model_store.networks import build_decoder, build_encoder
from model_store.spec import ModelSpec


class VAE(nn.Module):
    """A VAE with a diagonal Gaussian posterior, built from its spec."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, features = build_encoder(spec)
        self.to_mu = nn.Linear(features, spec.latent)
        self.to_logvar = nn.Linear(features, spec.latent)
        self.decoder = build_decoder(spec)
        if spec.likelihood == "discretised_logistic":
            self.log_scale = nn.Parameter(torch.full((spec.image.channels, 1, 1), -2.0))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x (batch, channels, height, width) in [0, 1] -> mu, logvar, both (batch, latent).

        logvar is ln sigma^2.
        """
        features = self.encoder(x)
        return self.to_mu(features), self.to_logvar(features)

    def decode(self, z: Tensor) -> Tensor:
        """z (batch, latent) -> x_logits (batch, channels, height, width)."""
        return cast(Tensor, self.decoder(z))

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """The mean of p(x | z): the image that people see; same shape, in [0, 1]."""
        return torch.sigmoid(x_logits)

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """ln p(x | z); images and logits of one shape -> (batch,), nats."""
        if self.spec.likelihood == "discretised_logistic":
            mean = self.mean_image(x_logits)
            return discretised_logistic_log_likelihood(x, mean, self.log_scale)
        return bernoulli_log_likelihood(x, x_logits)


def expected_tensors(spec: ModelSpec) -> dict[str, Tensor]:
    """Name -> meta tensor (shape and dtype, no memory) of every weight that the spec asks for."""
    with torch.device("meta"):
        return VAE(spec).state_dict()


def build_vae(spec: ModelSpec, weights: dict[str, Tensor]) -> VAE:
    """The module with these weights, in evaluation mode; names and shapes must fit the spec."""
    with torch.device("meta"):
        vae = VAE(spec)
    vae.load_state_dict(weights, strict=True, assign=True)
    return vae.eval().requires_grad_(False)
