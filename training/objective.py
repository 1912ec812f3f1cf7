"""What training maximises: the evidence lower bound, per sample, in nats, summed over pixels."""

from typing import NamedTuple

from torch import Tensor

from model_store import VAE, kl_to_standard_normal, reparameterise


class Bound(NamedTuple):
    """The two parts of the ELBO; both (batch,), nats.

    `log_px` estimates E_q ln p(x | z) by one draw of z and is <= 0 for Bernoulli pixels; `kl` is
    KL(q(z | x) || p(z)), exact and >= 0.
    """

    log_px: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """A lower bound of ln p(x) in expectation; (batch,), nats. Kingma & Welling 2014, eq. 3."""
        return self.log_px - self.kl

    def loss(self, beta: float) -> Tensor:
        """What goes down, per sample; (batch,), nats. Higgins et al. 2017, eq. 4."""
        return -(self.log_px - beta * self.kl)


def bound(vae: VAE, x: Tensor, eps: Tensor) -> Bound:
    """x (batch, channels, height, width) in [0, 1], eps ~ N(0, I) (batch, latent)."""
    mu, logvar = vae.encode(x)
    x_logits = vae.decode(reparameterise(mu, logvar, eps))
    return Bound(log_px=vae.log_likelihood(x, x_logits), kl=kl_to_standard_normal(mu, logvar))
