"""Random affine augmentation: rotation, scale, shear, shift and mirroring."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config import Augmentation


def random_maps(images: int, limits: Augmentation, noise: torch.Generator) -> Tensor:
    """Draw an affine map for each image; (images, 2, 3).

    A map takes a pixel of the result to the place it is read from, in the coordinates of
    `torch.nn.functional.affine_grid`: (x, y) from -1 to 1. Rotation, shear and shift are uniform
    between minus and plus their limit, and so is the logarithm of the scale.
    """
    angle = math.radians(limits.degrees) * _uniform(images, noise)
    scale = torch.exp(math.log(1 + limits.scale) * _uniform(images, noise))
    shift = 2 * limits.shift * torch.stack([_uniform(images, noise) for _ in range(2)], dim=1)
    mirror = torch.ones_like(angle)
    if limits.mirror:
        mirror = torch.where(_uniform(images, noise) < 0, -1.0, 1.0)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    matrix = torch.stack([mirror * cos, -mirror * sin, sin, cos], dim=1).view(images, 2, 2)
    if limits.shear:
        shear = limits.shear * _uniform(images, noise)
        matrix[:, :, 1] += shear.unsqueeze(1) * matrix[:, :, 0]
    return torch.cat([matrix, shift.unsqueeze(2)], dim=2)


def augment(x: Tensor, limits: Augmentation, noise: torch.Generator) -> Tensor:
    """Apply a random map to each image; x (batch, channels, height, width) -> same."""
    return apply_maps(x, random_maps(len(x), limits, noise))


def augment_some(
    x: Tensor, probability: float, limits: Augmentation, noise: torch.Generator
) -> Tensor:
    """Apply a random map to each image with this probability; x (batch, c, h, w) -> same."""
    chosen = torch.empty((len(x), 1, 1, 1), device=x.device).uniform_(generator=noise) < probability
    return torch.where(chosen, augment(x, limits, noise), x)


def apply_maps(x: Tensor, maps: Tensor) -> Tensor:
    """Resample images under their maps: bilinear, 0 outside of the image; x (batch, c, h, w)."""
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False).clamp_(0, 1)


def _uniform(images: int, noise: torch.Generator) -> Tensor:
    """Draw values between -1 and 1; (images,)."""
    return torch.empty(images, device=noise.device).uniform_(-1, 1, generator=noise)
