"""The pixels that a model learns to reproduce: grey values, binarized ones, or a mixture."""

import torch
from torch import Tensor

from training.config import Objective


def as_targets(x: Tensor, objective: Objective, noise: torch.Generator) -> Tensor:
    """Turn grey images into the objective's targets; (batch, channels, height, width) -> same."""
    match objective.targets:
        case "grey":
            return x
        case "binary":
            return binarize(x, noise)
        case "mixed":
            return binarize_half(x, noise)


def binarize(x: Tensor, noise: torch.Generator) -> Tensor:
    """Draw each pixel to 1 with its grey value as probability, else to 0. Burda et al. 2016, 5.1.

    The random numbers are drawn on the device of `noise`, so that a generator on the CPU gives the
    same pixels on a GPU.
    """
    uniform = torch.rand(x.shape, generator=noise, device=noise.device, dtype=x.dtype)
    return uniform.to(x.device).lt_(x)


def binarize_half(x: Tensor, noise: torch.Generator) -> Tensor:
    """Binarize each image with probability 1/2 and leave it grey otherwise."""
    chosen = torch.empty((len(x), 1, 1, 1), device=x.device).uniform_(generator=noise) < 0.5
    return torch.where(chosen, binarize(x, noise), x)
