"""A hierarchical VAE with two levels of latents.

    p(z2) = N(0, I)      p(z1 | z2) = N(m(z2), s(z2)^2)      p(x | z1)

A latent of zserve is one vector u ~ N(0, I): its first dimensions are z2, and the others, u1, are the noise of
z1 = m(z2) + s(z2) u1. The encoder gives q(u1 | x) and q(z2 | x), so q(z1 | z2, x) is a change of the
prior p(z1 | z2), as in NVAE (Vahdat & Kautz 2020, section 3.2): KL and samples need nothing else.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from zserve.networks import ModelSpec

MAX_LOG_SCALE = 2.0
"""Largest |ln s(z2)|."""


class Settings(BaseModel):
    """The settings of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    top: int = Field(default=8, gt=0, le=16_384)
    """Number of dimensions of z2, the upper level."""
    hidden: int = Field(default=400, gt=0, le=65_536)
    """Width of every hidden layer."""


class Encoder(nn.Module):
    """Images (batch, channels, height, width) in [0, 1] -> mu, ln sigma^2, both (batch, latent)."""

    def __init__(self, settings: Settings, spec: ModelSpec) -> None:
        super().__init__()
        hidden = settings.hidden
        bottom = _bottom(settings, spec)
        self.lower = nn.Sequential(nn.Linear(spec.image.pixels, hidden), nn.ReLU())
        self.upper = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.to_bottom = nn.Linear(hidden, 2 * bottom)
        self.to_top = nn.Linear(hidden, 2 * settings.top)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode from below: u1 from the lower features, z2 from the upper ones."""
        features = self.lower(x.flatten(1))
        bottom_mu, bottom_logvar = self.to_bottom(features).chunk(2, dim=1)
        top_mu, top_logvar = self.to_top(self.upper(features)).chunk(2, dim=1)
        mu = torch.cat([top_mu, bottom_mu], dim=1)
        return mu, torch.cat([top_logvar, bottom_logvar], dim=1)


class Decoder(nn.Module):
    """Latents (batch, latent), z2 and then u1 -> logits of images."""

    def __init__(self, settings: Settings, spec: ModelSpec) -> None:
        super().__init__()
        self.top, self.shape = settings.top, spec.image.shape
        hidden = settings.hidden
        bottom = _bottom(settings, spec)
        self.prior = nn.Sequential(
            nn.Linear(self.top, hidden), nn.ReLU(), nn.Linear(hidden, 2 * bottom)
        )
        self.layers = nn.Sequential(
            nn.Linear(bottom, hidden), nn.ReLU(), nn.Linear(hidden, spec.image.pixels)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Decode from above."""
        logits: Tensor = self.layers(self.lower_latents(latents))
        return logits.view(-1, *self.shape)

    def lower_latents(self, latents: Tensor) -> Tensor:
        """Return z1 = m(z2) + s(z2) u1."""
        mean, raw = self.prior(latents[:, : self.top]).chunk(2, dim=1)
        scale = torch.exp(MAX_LOG_SCALE * torch.tanh(raw / MAX_LOG_SCALE))
        moved: Tensor = mean + scale * latents[:, self.top :]
        return moved


def build_encoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return the encoder."""
    return Encoder(settings, spec)


def build_decoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return the decoder."""
    return Decoder(settings, spec)


def _bottom(settings: Settings, spec: ModelSpec) -> int:
    """Return the number of dimensions of z1; raises ValueError if z2 leaves none."""
    bottom = spec.latent - settings.top
    if bottom < 1:
        raise ValueError(f"the upper level has {settings.top} of {spec.latent} latent dimensions")
    return bottom
