"""A network of your own for zserve: settings and two builders. Change what lies between the lines."""

from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn

from zserve.networks import ModelSpec


class Settings(BaseModel):
    """The keys of `settings` in a preset."""

    hidden: PositiveInt = 400


class Encoder(nn.Module):
    """Images (batch, channels, height, width) in [0, 1] -> mu and ln sigma^2, both (batch, latent)."""

    def __init__(self, settings: Settings, spec: ModelSpec) -> None:
        super().__init__()
        # ---
        sizes = (spec.image.pixels, settings.hidden, 2 * spec.latent)
        self.layers = nn.Sequential(nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:]))
        # ---

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images."""
        mu, logvar = self.layers(x.flatten(1)).chunk(2, dim=1)
        return mu, logvar


def build_encoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return a module from images to mu and ln sigma^2."""
    return Encoder(settings, spec)


def build_decoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return a module from latents (batch, latent) to logits of images."""
    # ---
    sizes = (spec.latent, settings.hidden, spec.image.pixels)
    layers = nn.Linear(*sizes[:2]), nn.ReLU(), nn.Linear(*sizes[1:])
    # ---
    return nn.Sequential(*layers, nn.Unflatten(1, spec.image.shape))
