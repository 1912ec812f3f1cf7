"""An exponential moving average of the weights, which often is better than the last weights."""

import copy

import torch
from torch import Tensor, nn

from model_store.vae import VAE, reparameterise
from training.data.images import Images, affordable_batch

BATCH_NORM_IMAGES = 8192
"""Number of training images from which the averaged network's batch-norm statistics are measured."""


class MovingAverage:
    """An exponential moving average of a VAE's weights, kept as a second VAE.

    Polyak & Juditsky 1992. The decay grows as (1 + t) / (10 + t) up to its value, so that the
    random initial weights are forgotten after a few steps.
    """

    def __init__(self, vae: VAE, decay: float) -> None:
        self.decay = decay
        self.vae = copy.deepcopy(vae).requires_grad_(False)
        self._averaged: list[Tensor] = list(self.vae.parameters())
        self._current = [weight.detach() for weight in vae.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the current weights; `step` counts from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._current, 1 - decay)

    @torch.no_grad()
    def measure_batch_norm(self, train: Images, seed: int, batch_size: int = 512) -> None:
        """Measure the batch-norm statistics of the averaged network on training images.

        The statistics of the current network, or an average of them, do not fit the averaged
        weights. Izmailov et al. 2018, "Averaging weights leads to wider optima", section 3.
        """
        norms = [module for module in self.vae.modules() if isinstance(module, nn.BatchNorm2d)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the batches
        device = train.pixels.device
        noise = torch.Generator(device).manual_seed(seed)
        self.vae.train()
        images = min(len(train), BATCH_NORM_IMAGES)
        batch_size = affordable_batch(batch_size, self.vae.spec.image.pixels)
        for index in torch.split(torch.arange(images, device=device), batch_size):
            if len(index) == 1 and images > 1:
                continue  # a single image has no variance
            mu, logvar = self.vae.posterior(train.batch(index))
            eps = torch.randn(mu.shape, generator=noise, device=device)
            self.vae.logits(reparameterise(mu, logvar, eps))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
