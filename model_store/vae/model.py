"""The variational autoencoder: q(z | x) and p(x | z) as one module.

Kingma & Welling 2014, "Auto-encoding variational Bayes".
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model_store.spec import ModelSpec
from model_store.vae.flow import RealNVP
from model_store.vae.gaussian import standard_normal_log_density
from model_store.vae.likelihood import (
    bernoulli_log_likelihood,
    discretised_logistic_log_likelihood,
)
from model_store.vae.networks import build_decoder, build_encoder


class VAE(nn.Module):
    """A VAE with a diagonal Gaussian posterior and N(0, I) or a flow as prior, built from its spec."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder, features = build_encoder(spec)
        self.to_mu = nn.Linear(features, spec.latent)
        self.to_logvar = nn.Linear(features, spec.latent)
        self.decoder = build_decoder(spec)
        self.flow = RealNVP(spec.prior, spec.latent) if spec.prior else None
        if spec.likelihood == "discretised_logistic":
            self.log_scale = nn.Parameter(torch.full((spec.image.channels, 1, 1), -2.0))

    # --- what training and evaluation see: z, of which q is a Gaussian -------------------------

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z | x) of x (batch, channels, height, width) in [0, 1]: mu, logvar (batch, latent).

        logvar is ln sigma^2.
        """
        features = self.encoder(x)
        mu, logvar = self.to_mu(features), self.to_logvar(features)
        if self.spec.logvar_bound is not None:
            logvar = logvar.clamp(-self.spec.logvar_bound, self.spec.logvar_bound)
        return mu, logvar

    def log_prior(self, z: Tensor) -> Tensor:
        """ln p(z); (batch, latent) -> (batch,), nats."""
        if self.flow is None:
            return standard_normal_log_density(z)
        u, log_det = self.flow(z)
        return torch.add(standard_normal_log_density(u), log_det)

    def logits(self, z: Tensor) -> Tensor:
        """p(x | z); (batch, latent) -> x_logits (batch, channels, height, width)."""
        return cast(Tensor, self.decoder(z))

    # --- what people see: u, of which the prior is N(0, I) -------------------------------------

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Where images lie in the space of N(0, I): mu, logvar, both (batch, latent).

        With a flow, mu is the image of the posterior's mean, and exp(logvar) the variance to first
        order: the sum over the axes of z of the squares of what one sigma along each moves u.
        """
        mu, logvar = self.posterior(x)
        if self.flow is None:
            return mu, logvar
        return self._through_the_flow(mu, logvar)

    def to_u(self, z: Tensor) -> Tensor:
        """z (batch, latent) -> its place u (batch, latent) in the space of N(0, I)."""
        return z if self.flow is None else cast(Tensor, self.flow(z)[0])

    def decode(self, u: Tensor) -> Tensor:
        """u (batch, latent) -> x_logits (batch, channels, height, width)."""
        return self.logits(u if self.flow is None else self.flow.inverse(u))

    def _through_the_flow(self, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
        flow = cast(RealNVP, self.flow)
        batch, latent = mu.shape
        steps = torch.diag_embed(torch.exp(0.5 * logvar))  # (batch, latent, latent)
        ahead, _ = flow((mu.unsqueeze(1) + steps).flatten(end_dim=1))
        behind, _ = flow((mu.unsqueeze(1) - steps).flatten(end_dim=1))
        moved = (0.5 * (ahead - behind)).view(batch, latent, latent)
        return flow(mu)[0], moved.square().sum(dim=1).log()

    def mean_image(self, x_logits: Tensor) -> Tensor:
        """The mean of p(x | z): the image that people see; same shape, in [0, 1]."""
        return torch.sigmoid(x_logits)

    def log_likelihood(self, x: Tensor, x_logits: Tensor) -> Tensor:
        """ln p(x | z); images and logits of one shape -> (batch,), nats."""
        if self.spec.likelihood == "discretised_logistic":
            mean = self.mean_image(x_logits)
            return discretised_logistic_log_likelihood(x, mean, self.log_scale)
        return bernoulli_log_likelihood(x, x_logits)


def build_vae(spec: ModelSpec, weights: Mapping[str, Tensor | NDArray[np.generic]]) -> VAE:
    """Return the network of a spec with these weights, in evaluation mode.

    The network uses the memory of the weights, which must not be changed afterwards. Raises
    RuntimeError if names or shapes do not fit the spec.
    """
    with torch.device("meta"):
        vae = VAE(spec)
    tensors = {name: torch.as_tensor(weight) for name, weight in weights.items()}
    vae.load_state_dict(tensors, strict=True, assign=True)
    return vae.eval().requires_grad_(False)
