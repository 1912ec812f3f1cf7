"""The training objective: the evidence lower bound per image, in nats, summed over pixels.

With several draws of z per image it is the importance-weighted bound, which is tighter.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from model_store.vae import (
    VAE,
    TrainedVAE,
    kl_per_dimension,
    normal_log_density,
    reparameterise,
    to_float32,
)


class Terms(NamedTuple):
    """The loss of each image and its parts: (batch,), nats; `mu` and `logvar` (batch, latent)."""

    loss: Tensor
    """The value to report."""
    surrogate: Tensor
    """The value to differentiate: its gradient estimates the gradient of the loss."""
    log_px: Tensor
    kl: Tensor
    mu: Tensor
    logvar: Tensor


class Bound(NamedTuple):
    """The two parts of the ELBO, nats; log_px (batch,), kl_per_dimension (batch, latent).

    `log_px` estimates E_q ln p(x | z) by one draw of z; it is <= 0 for Bernoulli pixels.
    `kl_per_dimension` is KL(q(z_d | x) || p(z_d)), exact and >= 0. Under a flow, only the sum over
    the dimensions is meaningful, and it is an estimate by the same draw.
    """

    log_px: Tensor
    kl_per_dimension: Tensor

    @property
    def kl(self) -> Tensor:
        """KL(q(z | x) || p(z)); (batch,), nats."""
        return self.kl_per_dimension.sum(dim=1)

    @property
    def elbo(self) -> Tensor:
        """A lower bound of ln p(x) in expectation; (batch,), nats. Kingma & Welling 2014, eq. 3."""
        return self.log_px - self.kl

    def loss(self, beta: float, free_bits: float = 0.0) -> Tensor:
        """Return -(log_px - beta * kl) of each image; (batch,), nats. Higgins et al. 2017, eq. 4."""
        kl = with_free_bits(self.kl_per_dimension, free_bits) if free_bits else self.kl
        return -(self.log_px - beta * kl)


def bound(vae: VAE, x: Tensor, eps: Tensor) -> Bound:
    """Compute the ELBO's parts; x (batch, c, h, w) in [0, 1], eps ~ N(0, I) (batch, latent).

    Likelihood and KL are computed in at least 32 bits, whatever the networks compute in.
    """
    return _bound(vae, x, *posterior(vae, x), eps)


def single_draw(
    vae: VAE,
    x: Tensor,
    eps: Tensor,
    beta: float,
    free_bits: float,
    *,
    labels: Tensor | None = None,
) -> Terms:
    """Return the terms of the ELBO with one draw; x (batch, c, h, w), eps (batch, latent).

    `free_bits` is in nats per latent dimension. `labels` (batch,) are for networks that use labels.
    """
    mu, logvar, further = _training_posterior(vae, x, labels)
    parts = _bound(vae, x, mu, logvar, eps)
    loss = parts.loss(beta, free_bits)
    surrogate = loss if further is None else loss + further
    return Terms(loss, surrogate, parts.log_px, parts.kl, mu, logvar)


def several_draws(
    vae: VAE,
    x: Tensor,
    eps: Tensor,
    beta: float,
    *,
    doubly_reparameterised: bool,
    labels: Tensor | None = None,
) -> Terms:
    """Return the terms of the importance-weighted bound; eps ~ N(0, I) (draws, batch, latent).

    loss = -ln (1 / k) sum_i w_i,  ln w_i = ln p(x | z_i) + beta (ln p(z_i) - ln q(z_i | x)):
    Burda et al. 2016, eq. 8. If doubly reparameterised, the gradient that reaches the encoder
    through z_i is weighted by v_i^2, v_i = w_i / sum w, instead of v_i, and the score of q is left
    out: Tucker et al. 2019, eq. 8; with one draw, Roeder et al. 2017.
    """
    k, batch, latent = eps.shape
    mu, logvar, further = _training_posterior(vae, x, labels)
    z = reparameterise(mu, logvar, eps)
    weighted = z.requires_grad and doubly_reparameterised
    q = (mu.detach(), logvar.detach()) if weighted else (mu, logvar)
    log_q = normal_log_density(z, *q)  # (draws, batch)
    flat = z.reshape(k * batch, latent)
    x_logits = to_float32(vae.logits(flat))
    log_px = vae.log_likelihood(x.repeat(k, 1, 1, 1), x_logits).view(k, batch)
    kl = log_q - _log_prior(vae, flat).view(k, batch)
    log_w = log_px - beta * kl
    v = log_w.detach().softmax(dim=0)
    if weighted:
        z.register_hook(lambda gradient: gradient * v.unsqueeze(2))  # type: ignore[no-untyped-call]
    surrogate = -(v * log_w).sum(dim=0)
    return Terms(
        loss=(math.log(k) - log_w.logsumexp(dim=0)).detach(),
        surrogate=surrogate if further is None else surrogate + further,
        log_px=log_px.mean(dim=0),
        kl=kl.mean(dim=0),
        mu=mu,
        logvar=logvar,
    )


def posterior(vae: VAE, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mu and logvar of q(z | x), (batch, latent), in at least 32 bits."""
    mu, logvar = vae.posterior(x)
    return to_float32(mu), to_float32(logvar)


def _training_posterior(
    vae: VAE, x: Tensor, labels: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return mu, logvar, and nats of each image that are differentiated with the loss, or None."""
    if labels is None:
        return *posterior(vae, x), None
    mu, logvar, further = (to_float32(each) for each in vae.labelled_posterior(x, labels))
    return mu, logvar, further


def kl_to_prior(vae: TrainedVAE, mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """Return KL(q(z | x) || p(z)) of each dimension, (batch, latent), nats.

    Exact if the prior is N(0, I). Under a flow, the sum over the dimensions is an estimate by the
    draw z: the entropy of q is exact, ln p(z) is not, and ln |det| is spread evenly over the
    dimensions.
    """
    if not vae.has_flow:
        return kl_per_dimension(mu, logvar)
    u, log_det = vae.z_to_u(z)
    return torch.sub(0.5 * (u.square() - logvar - 1.0), log_det.unsqueeze(1) / z.shape[1])


def with_free_bits(kl: Tensor, nats: float) -> Tensor:
    """Return a KL without a gradient in dimensions below `nats`; (batch, latent) -> (batch,).

    Its mean over the batch is sum_d max(nats, mean KL_d): Kingma et al. 2016, "Improved
    variational inference with inverse autoregressive flow", eq. 14, with one group per dimension.
    """
    penalised = kl.mean(dim=0) > nats
    return torch.where(penalised, kl, nats).sum(dim=1)


def _bound(vae: VAE, x: Tensor, mu: Tensor, logvar: Tensor, eps: Tensor) -> Bound:
    z = reparameterise(mu, logvar, eps)
    x_logits = to_float32(vae.logits(z))
    with torch.autocast(z.device.type, enabled=False):
        kl = kl_to_prior(vae, mu, logvar, z)
    return Bound(vae.log_likelihood(x, x_logits), kl)


def _log_prior(vae: VAE, z: Tensor) -> Tensor:
    with torch.autocast(z.device.type, enabled=False):
        return vae.log_prior(z)
