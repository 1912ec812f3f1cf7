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
from training.fitting.targets import binarize

BATCH = 500
"""Images that are encoded at a time."""


@dataclass(frozen=True)
class EncodedImages:
    """q(z | x) of each image, in each form that the objective shows it in, and ln p(x | z)."""

    mu: Tensor
    """(forms, images, latent)."""
    logvar: Tensor
    """(forms, images, latent)."""
    log_px: float
    """Mean of ln p(x | z) over forms and images, by one draw of z each; nats."""

    def __len__(self) -> int:
        return self.mu.shape[1]

    def batch(self, index: Tensor, noise: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return mu and logvar of some images, (batch, latent), each in a form drawn at random."""
        forms = torch.randint(len(self.mu), index.shape, generator=noise, device=index.device)
        return self.mu[forms, index], self.logvar[forms, index]


@torch.no_grad()
def encode(vae: VAE, images: Images, objective: Objective, noise: torch.Generator) -> EncodedImages:
    """Encode all images without augmentation: grey, binarized once, or in both forms."""
    training = vae.training
    vae.eval()
    encoded, log_px = [], 0.0
    for index in batch_indices(len(images), BATCH):
        x = as_floats(images.pixels[index.to(vae.device)])
        forms = _forms(x, objective, noise)
        mu, logvar = vae.posterior(torch.cat(forms))
        eps = torch.randn(mu.shape, generator=noise, device=vae.device)
        logits = vae.logits(reparameterise(mu, logvar, eps))
        log_px += float(vae.log_likelihood(torch.cat(forms), logits).sum()) / len(forms)
        encoded.append(torch.stack([mu, logvar]).view(2, len(forms), len(x), -1))
    vae.train(training)
    mu, logvar = torch.cat(encoded, dim=2)
    return EncodedImages(mu, logvar, log_px / len(images))


def _forms(x: Tensor, objective: Objective, noise: torch.Generator) -> list[Tensor]:
    match objective.targets:
        case "grey":
            return [x]
        case "binary":
            return [binarize(x, noise)]
        case "mixed":
            return [x, binarize(x, noise)]


@torch.no_grad()
def averages(
    vae: VAE, encoded: EncodedImages, objective: Objective, noise: torch.Generator
) -> Averages:
    """Return the loss and its parts, means over encoded images in all their forms."""
    total = 0.0
    for index in batch_indices(len(encoded), BATCH):
        for mu, logvar in zip(encoded.mu[:, index], encoded.logvar[:, index], strict=True):
            eps = torch.randn(mu.shape, generator=noise, device=mu.device)
            total += float(kl_to_flow(vae, mu, logvar, eps).sum())
    return with_kl(encoded, objective, total / encoded.mu[:, :, 0].numel())


def with_kl(encoded: EncodedImages, objective: Objective, kl: float) -> Averages:
    """Return the loss and its parts for a mean KL in nats; reconstructions do not change."""
    return Averages(-encoded.log_px + objective.beta * kl, -encoded.log_px, kl)


def kl_to_flow(vae: VAE, mu: Tensor, logvar: Tensor, eps: Tensor) -> Tensor:
    """Estimate KL(q(z | x) || p(z)) by one draw of z; all (batch, latent) -> (batch,), nats."""
    z = reparameterise(mu, logvar, eps)
    return normal_log_density(z, mu, logvar) - vae.log_prior(z)
