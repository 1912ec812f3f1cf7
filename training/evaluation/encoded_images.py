"""Choose test images whose latents are published with a version, and round their latents."""

import numpy as np
import torch
from torch import Tensor

from model_store.encoded_images import EncodedImages, affordable_images, round_latents
from training.data.images import Images
from training.evaluation.posteriors import Posteriors

SEED = 0
"""Seed of the order in which images are chosen within a class."""


def choose(labels: Tensor | None, images: int, most: int) -> Tensor:
    """Return the indices of at most `most` of `images` images, (chosen,) int64, ascending.

    If there are labels (images,), each class has its share of the images, rounded up or down.
    """
    order = torch.randperm(images, generator=torch.Generator().manual_seed(SEED))
    if labels is not None:
        order = order[torch.argsort(labels.cpu()[order], stable=True)]
    chosen = min(images, most)
    places = (2 * torch.arange(chosen) + 1) * images // (2 * chosen)  # evenly spaced
    return order[places].sort().values


def encoded_images(test: Images, encoded: Posteriors) -> EncodedImages:
    """Return the latents of chosen test images; `encoded` are those of the whole split, of u."""
    indices = choose(test.labels, len(test), affordable_images(encoded.mu.shape[1]))
    labels = None if test.labels is None else test.labels.cpu()[indices].numpy().astype(np.int16)
    u = encoded.mu[indices].detach().float().numpy()
    return round_latents(u, indices.numpy().astype(np.int32), labels)
