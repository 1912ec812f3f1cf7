"""Train the flow alone, on draws from q(z | x) of a VAE that no longer changes.

The KL is the only part of the loss that depends on the flow. Images are therefore encoded once, and
nothing is decoded: a step costs a fraction of a step on the whole VAE. Trained for long enough, the
flow fits the aggregate posterior closely, and samples fall where images were encoded. Stages of this
kind: Dai & Wipf 2019, "Diagnosing and enhancing VAE models".
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.vae import VAE, normal_log_density, reparameterise
from training.config import Objective
from training.data.images import Images, as_floats, batch_indices
from training.fitting.events import Averages

BATCH = 500
"""Images that are encoded at a time."""


@dataclass(frozen=True)
class EncodedImages:
    """q(z | x) of each image, mu and logvar (images, latent), and how well images are decoded."""

    mu: Tensor
    logvar: Tensor
    log_px: float
    """Mean of ln p(x | z) over the images, by one draw of z each; nats."""

    def __len__(self) -> int:
        return len(self.mu)


@torch.no_grad()
def encode(vae: VAE, images: Images, noise: torch.Generator) -> EncodedImages:
    """Encode all images as the service does: grey, and without augmentation."""
    training = vae.training
    vae.eval()
    mus, logvars, log_px = [], [], 0.0
    for index in batch_indices(len(images), BATCH):
        x = as_floats(images.pixels[index.to(vae.device)])
        mu, logvar = vae.posterior(x)
        eps = torch.randn(mu.shape, generator=noise, device=vae.device)
        log_px += float(vae.log_likelihood(x, vae.logits(reparameterise(mu, logvar, eps))).sum())
        mus.append(mu)
        logvars.append(logvar)
    vae.train(training)
    return EncodedImages(torch.cat(mus), torch.cat(logvars), log_px / len(images))


@torch.no_grad()
def averages(
    vae: VAE, encoded: EncodedImages, objective: Objective, noise: torch.Generator
) -> Averages:
    """Return the loss and its parts, means over encoded images."""
    total = 0.0
    for mu, logvar in zip(
        torch.split(encoded.mu, BATCH), torch.split(encoded.logvar, BATCH), strict=True
    ):
        eps = torch.randn(mu.shape, generator=noise, device=mu.device)
        total += float(kl_to_flow(vae, mu, logvar, eps).sum())
    return with_kl(encoded, objective, total / len(encoded))


def with_kl(encoded: EncodedImages, objective: Objective, kl: float) -> Averages:
    """Return the loss and its parts for a mean KL in nats; reconstructions do not change."""
    return Averages(-encoded.log_px + objective.beta * kl, -encoded.log_px, kl)


def kl_to_flow(vae: VAE, mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """Estimate KL(q(z | x) || p(z)) by one draw of z; all (batch, latent) -> (batch,), nats."""
    z = reparameterise(mu, logvar, eps)
    return normal_log_density(z, mu, logvar) - vae.log_prior(z)
