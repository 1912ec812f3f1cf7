"""What training maximises: the evidence lower bound, per sample, in nats, summed over pixels."""

from typing import NamedTuple

import torch
from torch import Tensor

from model_store import VAE, kl_per_dimension, reparameterise


class Bound(NamedTuple):
    """The two parts of the ELBO, nats; log_px (batch,), kl_per_dimension (batch, latent).

    `log_px` estimates E_q ln p(x | z) by one draw of z and is <= 0 for Bernoulli pixels; the
    latter is KL(q(z_d | x) || p(z_d)), exact and >= 0.
    """

    log_px: Tensor
    kl_per_dimension: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)); (batch,), nats, >= 0."""
        return self.kl_per_dimension.sum(dim=1)

    @property
    def elbo(self) -> Tensor:
        """A lower bound of ln p(x) in expectation; (batch,), nats. Kingma & Welling 2014, eq. 3."""
        return self.log_px - self.kl

    def loss(self, beta: float, free_bits: float = 0.0) -> Tensor:
        """What goes down, per sample; (batch,), nats. Higgins et al. 2017, eq. 4."""
        kl = with_free_bits(self.kl_per_dimension, free_bits) if free_bits else self.kl
        return -(self.log_px - beta * kl)


def bound(vae: VAE, x: Tensor, eps: Tensor) -> Bound:
    """x (batch, channels, height, width) in [0, 1], eps ~ N(0, I) (batch, latent).

    Likelihood and KL are computed in at least 32 bits, whatever the networks compute in.
    """
    mu, logvar = map(_in_32_bits, vae.encode(x))
    x_logits = _in_32_bits(vae.decode(reparameterise(mu, logvar, eps)))
    return Bound(vae.log_likelihood(x, x_logits), kl_per_dimension(mu, logvar))


def with_free_bits(kl: Tensor, nats: float) -> Tensor:
    """A KL that no dimension can lower below so many nats; (batch, latent) -> (batch,).

    Its mean over the batch is sum_d max(nats, mean KL_d): Kingma et al. 2016, "Improved
    variational inference with inverse autoregressive flow", eq. 14, with a group per dimension.
    """
    paid = kl.mean(dim=0) > nats
    return torch.where(paid, kl, nats).sum(dim=1)


def binarize(x: Tensor, noise: torch.Generator) -> Tensor:
    """Pixels drawn to 1 with their grey value as probability, else 0. Burda et al. 2016, 5.1."""
    return torch.empty_like(x).uniform_(generator=noise).lt_(x)


def _in_32_bits(values: Tensor) -> Tensor:
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values
