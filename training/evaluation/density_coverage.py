"""Density and coverage: how images lie among the neighbourhoods of real images.

Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models". The
neighbourhood of a real image is the open ball whose radius is the distance to its k-th nearest
other real image.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

NEIGHBOURS = 5
"""The k of the paper."""


@dataclass(frozen=True, eq=False)
class DensityCoverage:
    """Density of a set of images, and the real images that it covers."""

    density: float
    """Mean number of neighbourhoods that an image lies in, divided by k. About 1 if the images are
    distributed as the real ones; above 1 if they crowd where real images are densest."""
    covered: Tensor
    """True for each real image whose neighbourhood has at least one image in it; (real,), bool."""

    @property
    def coverage(self) -> float:
        """Share of the real images that are covered."""
        return self.covered.double().mean().item()


def density_and_coverage(
    made: Tensor, real: Tensor, *, k: int = NEIGHBOURS, chunk: int = 500
) -> DensityCoverage:
    """Compare images with real images by their features (images, features), eq. 3 and 4.

    Distances are computed in float64 between all pairs, `chunk` real images at a time. Raises
    ValueError if a real image has not k others.
    """
    if len(real) <= k:
        raise ValueError(f"the {k}-th neighbour needs more than {k} images, got {len(real)}")
    made, real = made.double(), real.double()
    pairs, covered = 0, []
    for part in torch.split(real, chunk):
        # the nearest is the image itself
        radii = torch.cdist(part, real).topk(k + 1, largest=False).values[:, k]
        inside = torch.cdist(part, made) < radii.unsqueeze(1)
        pairs += int(inside.sum())
        covered.append(inside.any(dim=1))
    return DensityCoverage(pairs / (k * len(made)), torch.cat(covered))
