"""The average of the weights over the last steps: often better than the last weights themselves."""

import copy

import torch
from torch import Tensor, nn

from model_store.vae import VAE, reparameterise
from training.data.loading import Images

BATCH_NORM_IMAGES = 8192
"""So many training images give the statistics of batch norm for averaged weights."""


class Average:
    """An exponential moving average of a VAE's weights, as a VAE of its own.

    Polyak & Juditsky 1992; with a decay as in Adam-era practice. The decay grows as
    (1 + t) / (10 + t) up to its value, so that the random weights of the start are soon forgotten.
    """

    def __init__(self, vae: VAE, decay: float) -> None:
        self.decay = decay
        self.vae = copy.deepcopy(vae).requires_grad_(False)
        self._averaged: list[Tensor] = list(self.vae.parameters())
        self._current = [weight.detach() for weight in vae.parameters()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the current weights; `step` counts from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averaged, self._current, 1 - decay)

    @torch.no_grad()
    def measure_batch_norm(self, train: Images, seed: int, batch_size: int = 512) -> None:
        """Give batch norm the statistics that the averaged weights themselves produce.

        Those of the current weights would belong to another network, and an average of them to
        none. Izmailov et al. 2018, "Averaging weights leads to wider optima", section 3.
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
        whole = min(len(train), BATCH_NORM_IMAGES)
        for index in torch.split(torch.arange(whole, device=device), batch_size):
            if len(index) == 1 and whole > 1:
                continue  # one image has no variance
            mu, logvar = self.vae.posterior(train.batch(index))
            eps = torch.randn(mu.shape, generator=noise, device=device)
            self.vae.logits(reparameterise(mu, logvar, eps))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
