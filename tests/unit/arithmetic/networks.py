"""Tiny exact networks of every kind, quantised from random float ones."""

import functools

import numpy as np
import torch

from model_store.arithmetic.program import ExactNetwork
from model_store.spec import MLP, Conv, Flow, ImageShape, ModelSpec, Residual
from model_store.vae import VAE
from training.quantisation import quantise

SPECS = {
    "mlp": ModelSpec(network=MLP(hidden=(12,)), latent=4, image=ImageShape(height=6, width=6)),
    "conv": ModelSpec(
        network=Conv(channels=(4, 6), hidden=10, batch_norm=True, kernel=3),
        latent=3,
        image=ImageShape(height=9, width=8),
    ),
    "residual": ModelSpec(
        network=Residual(channels=(4, 6), hidden=10, encoder_blocks=2),
        latent=5,
        image=ImageShape(height=8, width=8),
        logvar_bound=3.0,
    ),
    "colour": ModelSpec(
        network=Residual(channels=(4,), hidden=10, batch_norm=True),
        latent=4,
        image=ImageShape(channels=3, height=8, width=8),
        likelihood="discretised_logistic",
        upload="resize",
    ),
    "flow": ModelSpec(
        network=MLP(hidden=(12,)),
        latent=5,
        image=ImageShape(height=6, width=6),
        prior=Flow(couplings=3, hidden=8),
    ),
}


def float_vae(kind: str) -> VAE:
    """Return a new VAE with random weights, also in layers whose training begins with zeros."""
    torch.manual_seed(3)
    vae = VAE(SPECS[kind]).eval().requires_grad_(False)
    for module in vae.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
            module.weight.uniform_(0.5, 1.5)
        elif isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and not module.weight.any():
            module.weight.normal_(0, 0.2)
    return vae


def images(
    kind: str, rows: int, seed: int = 0
) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return random grey levels (rows, channels, height, width)."""
    shape = (rows, *SPECS[kind].image.shape)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@functools.cache
def exact_network(kind: str) -> ExactNetwork:
    """Return the quantised form of `float_vae(kind)`."""
    return quantise(float_vae(kind), torch.from_numpy(images(kind, 64)).float() / 255)
