"""Encode a whole split: one Gaussian q(z | x) per image."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from model_store.vae import VAE, TrainedVAE
from training.data.images import Images, affordable_batch, batch_indices
from training.progress import tracked

BATCH = 500
"""Images that are encoded or decoded at a time; fewer if they are large."""

Encode = Callable[[Tensor], tuple[Tensor, Tensor]]
"""x (batch, channels, height, width) -> mu, logvar, both (batch, latent)."""


@dataclass(frozen=True)
class Posteriors:
    """A Gaussian for each image of a split: mu and logvar (images, latent), on the CPU."""

    mu: Tensor
    logvar: Tensor


def posteriors(vae: TrainedVAE, images: Images) -> Posteriors:
    """Encode images into the latent space whose prior is N(0, I): u if there is a flow, else z."""
    return encode_images(vae.encode, images)


def encode_images(encode: Encode, images: Images) -> Posteriors:
    """Encode images in batches by an encoder on their device."""
    device = images.pixels.device
    batches = tracked(batch_indices(len(images), affordable_batch(BATCH, images.pixels[0].numel())))
    pairs = [encode(images.batch(index.to(device))) for index in batches]
    mu, logvar = (torch.cat(column).cpu() for column in zip(*pairs, strict=True))
    return Posteriors(mu, logvar)


def class_posteriors(vae: TrainedVAE, images: Images, *, before_flow: bool) -> Posteriors:
    """Encode labelled images to fit latents of the classes; a network that uses labels gets them."""
    if not (isinstance(vae, VAE) and vae.uses_labels):
        return encode_images(vae.posterior if before_flow else vae.encode, images)
    labels = images.require_labels().to(images.pixels.device)
    mus, logvars = [], []
    size = affordable_batch(BATCH, images.pixels[0].numel())
    for index in tracked(batch_indices(len(images), size)):
        rows = index.to(images.pixels.device)
        mu, logvar, _ = vae.labelled_posterior(images.batch(rows), labels[rows])
        mus.append(mu)
        logvars.append(logvar)
    return Posteriors(torch.cat(mus).cpu(), torch.cat(logvars).cpu())
