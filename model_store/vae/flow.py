"""A learned prior p(z): z = f^-1(u) with u ~ N(0, I), f by affine couplings.

    ln p(z) = ln N(f(z); 0, I) + ln |det df/dz|

Dinh et al. 2017, "Density estimation using Real NVP"; as the prior of a VAE: Xu et al. 2019, "On
the necessity and effectiveness of learning the prior of variational auto-encoder".
"""

from typing import cast

import torch
from torch import Tensor, nn

from model_store.arithmetic.program import LATENT_LIMIT
from model_store.spec import Flow

MAX_LOG_SCALE = 2.0
"""Largest |ln scale| of one coupling: several still reach any scale, and none overflows."""


class RealNVP(nn.Module):
    """An invertible map between z and u, both (batch, latent); the identity before training."""

    def __init__(self, flow: Flow, latent: int) -> None:
        super().__init__()
        couplings = [Coupling(latent, flow.hidden, kept=i % 2) for i in range(flow.couplings)]
        self.couplings = nn.ModuleList(couplings)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return u, (batch, latent), and ln |det du/dz|, (batch,)."""
        u, log_det = z, torch.zeros_like(z[:, 0])
        for coupling in self.couplings:
            u, log_scale = coupling(u)
            log_det = log_det + log_scale.sum(dim=1)
        return u, log_det

    def inverse(self, u: Tensor) -> Tensor:
        """Return z, the inverse of `forward` up to rounding."""
        z = u
        for coupling in reversed(self.couplings):
            z = cast(Coupling, coupling).inverse(z)
        return z


class Coupling(nn.Module):
    """Keep the dimensions of one parity, and from them compute scale and shift of the others."""

    def __init__(self, latent: int, hidden: int, *, kept: int) -> None:
        super().__init__()
        self.kept, self.changed = slice(kept, None, 2), slice(1 - kept, None, 2)
        dimensions = range(latent)
        inputs, outputs = len(dimensions[self.kept]), len(dimensions[self.changed])
        last = nn.Linear(hidden, 2 * outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.clamps_latents = False
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(), last
        )

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, (batch, latent), and ln of the scale of each changed dimension."""
        log_scale, shift = self._scale_and_shift(z)
        return self._with_changed(z, z[:, self.changed] * log_scale.exp() + shift), log_scale

    def inverse(self, u: Tensor) -> Tensor:
        """Return the input of `forward`, (batch, latent), up to rounding."""
        log_scale, shift = self._scale_and_shift(u)
        return self._with_changed(u, (u[:, self.changed] - shift) * (-log_scale).exp())

    def _scale_and_shift(self, z: Tensor) -> tuple[Tensor, Tensor]:
        kept = z[:, self.kept]
        if self.training or self.clamps_latents:
            kept = kept.clamp(-LATENT_LIMIT, LATENT_LIMIT)
        raw, shift = self.net(kept).chunk(2, dim=1)
        return MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE), shift

    def _with_changed(self, z: Tensor, changed: Tensor) -> Tensor:
        result = torch.empty_like(z)
        result[:, self.kept] = z[:, self.kept]
        result[:, self.changed] = changed
        return result
