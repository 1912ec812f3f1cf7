"""Random affine maps of images: rotated, shifted, scaled, mirrored; drawn from one generator."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.config import Augmentation


def affine_maps(images: int, kind: Augmentation, noise: torch.Generator) -> Tensor:
    """Where each pixel of the result is read from, one map an image; (images, 2, 3).

    In the coordinates of `torch.nn.functional.affine_grid`: (x, y) from -1 to 1. Each quantity is
    uniform between its limits.
    """
    angle = math.radians(kind.degrees) * _uniform(images, noise)
    scale = torch.exp(math.log(1 + kind.scale) * _uniform(images, noise))
    shift = 2 * kind.shift * torch.stack([_uniform(images, noise) for _ in range(2)], dim=1)
    mirror = torch.ones_like(angle)
    if kind.mirror:
        mirror = torch.where(_uniform(images, noise) < 0, -1.0, 1.0)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    turn = torch.stack([mirror * cos, -mirror * sin, sin, cos], dim=1).view(images, 2, 2)
    return torch.cat([turn, shift.unsqueeze(2)], dim=2)


def moved(x: Tensor, kind: Augmentation, noise: torch.Generator) -> Tensor:
    """Each image under a map of its own; x (batch, channels, height, width) -> same."""
    return under(x, affine_maps(len(x), kind, noise))


def some_moved(x: Tensor, share: float, kind: Augmentation, noise: torch.Generator) -> Tensor:
    """Each image moved with probability `share`; x (batch, channels, height, width) -> same."""
    chosen = torch.empty((len(x), 1, 1, 1), device=x.device).uniform_(generator=noise) < share
    return torch.where(chosen, moved(x, kind, noise), x)


def under(x: Tensor, maps: Tensor) -> Tensor:
    """The images under their maps, bilinear, 0 from beyond the border; x (batch, c, h, w) -> same."""
    grid = F.affine_grid(maps, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False).clamp_(0, 1)


def _uniform(images: int, noise: torch.Generator) -> Tensor:
    return torch.empty(images, device=noise.device).uniform_(-1, 1, generator=noise)
