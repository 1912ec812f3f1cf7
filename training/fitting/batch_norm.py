"""Give batch norms the statistics that they lack, without changing what a network computes.

Weights that were derived from an exact network have identities for batch norms, because quantisation
folded these into other layers. While training, a batch norm divides by the statistics of the batch,
so that identities would compute something else than they do in evaluation mode.
"""

import contextlib
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from model_store.vae import VAE, reparameterise
from training.data.images import affordable_batch

BATCH = 500
"""Largest number of images that are computed at once."""


class _Sums:
    """Sums over the inputs of a batch norm, for each channel; float64."""

    def __init__(self, channels: int) -> None:
        self.values = 0
        self.first = torch.zeros(channels, dtype=torch.float64)
        self.second = torch.zeros(channels, dtype=torch.float64)

    def add(self, _norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Add a batch (batch, channels, height, width); a hook that is called before the norm."""
        x = inputs[0].double()
        self.values += x.numel() // x.shape[1]
        self.first += x.sum(dim=(0, 2, 3)).cpu()
        self.second += x.square().sum(dim=(0, 2, 3)).cpu()

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Return mean and variance of each channel, (channels,)."""
        mean = self.first / self.values
        return mean, (self.second / self.values - mean.square()).clamp_min(0)


def lack_statistics(norm: nn.BatchNorm2d) -> bool:
    """Return True if a batch norm has the statistics with which every one begins."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    return not mean.any() and bool((variance == 1).all())


@torch.no_grad()
def restore_statistics(vae: VAE, images: Tensor) -> None:
    """Measure the statistics of the batch norms that lack them, in place.

    Their weights change so that the network computes the same in evaluation mode, and nearly the same
    while training. `images` is (images, channels, height, width) in [0, 1], on the VAE's device.
    """
    norms = [m for m in vae.modules() if isinstance(m, nn.BatchNorm2d) and lack_statistics(m)]
    if not norms:
        return
    training = vae.training
    vae.eval()
    with _summing(norms) as sums:
        noise = torch.Generator().manual_seed(0)
        for part in torch.split(images, affordable_batch(BATCH, vae.spec.image.pixels)):
            mu, logvar = vae.posterior(part)
            eps = torch.randn(mu.shape, generator=noise).to(mu.device)
            vae.logits(reparameterise(mu, logvar, eps))
    for norm, summed in zip(norms, sums, strict=True):
        _set_statistics(norm, *summed.mean_and_variance())
    vae.train(training)


@contextlib.contextmanager
def _summing(norms: list[nn.BatchNorm2d]) -> Iterator[list[_Sums]]:
    """Sum up the inputs of batch norms inside of the block."""
    sums = [_Sums(norm.num_features) for norm in norms]
    hooks = [
        norm.register_forward_pre_hook(each.add) for norm, each in zip(norms, sums, strict=True)
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()


def _set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Set mean and variance, (channels,) float64, and weights with which the norm is the same map."""
    running_mean, running_var = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight.double().cpu() / (running_var.double().cpu() + norm.eps).sqrt()
    shift = norm.bias.double().cpu() - scale * running_mean.double().cpu()
    running_mean.copy_(mean)
    running_var.copy_(variance)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + scale * mean)
