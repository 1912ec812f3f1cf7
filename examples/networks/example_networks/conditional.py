"""A conditional VAE: the label is an input of encoder and decoder.

    q(z | x, y)  encoder      p(x | z, y)  decoder

Kingma et al. 2014, "Semi-supervised learning with deep generative models", model M2; Sohn et al. 2015.

A latent of zserve is one vector ~ N(0, I). Here its last dimensions, one for each class, hold the label: it
is the class of the largest of them, so that under the prior all classes are equally likely. The encoder puts
the label there, far from the others. Training gives it the true labels; a service has none, so the encoder
has a classifier of images, which learns beside the ELBO.
"""

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from zserve.networks import ModelSpec

LABEL_MU, OTHER_MU = 2.5, -0.3
"""Means of the label's dimension and of the other classes' dimensions."""
LABEL_SIGMA, OTHER_SIGMA = 0.35, 0.75
"""Standard deviations of these. A draw has another largest dimension in 0.3 % of the cases."""


class Settings(BaseModel):
    """The settings of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: int = Field(default=10, gt=1, le=1000)
    hidden: int = Field(default=400, gt=0, le=65_536)
    """Width of the hidden layer of encoder, decoder and classifier."""


class Encoder(nn.Module):
    """Images (batch, channels, height, width) in [0, 1] -> mu, ln sigma^2, both (batch, latent)."""

    uses_labels = True

    def __init__(self, settings: Settings, spec: ModelSpec) -> None:
        super().__init__()
        self.classes = settings.classes
        pixels, hidden = spec.image.pixels, settings.hidden
        inner = _inner(settings, spec)
        self.classifier = nn.Sequential(
            nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, self.classes)
        )
        self.layers = nn.Sequential(
            nn.Linear(pixels + self.classes, hidden), nn.ReLU(), nn.Linear(hidden, 2 * inner)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Encode with the label that the classifier gives."""
        return self._encode(x.flatten(1), self.classifier(x.flatten(1)).argmax(dim=1))

    def with_labels(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode with the true labels; the third value is the classifier's loss, nats of each image."""
        mu, logvar = self._encode(x.flatten(1), labels)
        scores = self.classifier(x.flatten(1))
        return mu, logvar, F.cross_entropy(scores, labels, reduction="none")

    def _encode(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        y = F.one_hot(labels, self.classes).to(x.dtype)
        mu, logvar = self.layers(torch.cat([x, y], dim=1)).chunk(2, dim=1)
        label_mu = OTHER_MU + (LABEL_MU - OTHER_MU) * y
        label_logvar = 2 * (OTHER_SIGMA + (LABEL_SIGMA - OTHER_SIGMA) * y).log()
        return torch.cat([mu, label_mu], dim=1), torch.cat([logvar, label_logvar], dim=1)


class Decoder(nn.Module):
    """Latents (batch, latent), the last ones of which hold the label -> logits of images."""

    def __init__(self, settings: Settings, spec: ModelSpec) -> None:
        super().__init__()
        self.classes, self.shape = settings.classes, spec.image.shape
        hidden = settings.hidden
        self.layers = nn.Sequential(
            nn.Linear(spec.latent, hidden), nn.ReLU(), nn.Linear(hidden, spec.image.pixels)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Decode z with the label."""
        z, scores = latents[:, : -self.classes], latents[:, -self.classes :]
        y = F.one_hot(scores.argmax(dim=1), self.classes).to(z.dtype)
        logits: Tensor = self.layers(torch.cat([z, y], dim=1))
        return logits.view(-1, *self.shape)


def build_encoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return the encoder."""
    return Encoder(settings, spec)


def build_decoder(settings: Settings, spec: ModelSpec) -> nn.Module:
    """Return the decoder."""
    return Decoder(settings, spec)


def _inner(settings: Settings, spec: ModelSpec) -> int:
    """Return the number of dimensions of z; raises ValueError if the labels leave none."""
    inner = spec.latent - settings.classes
    if inner < 1:
        raise ValueError(
            f"{settings.classes} classes need as many latent dimensions, and one more for z; the model "
            f"has {spec.latent}"
        )
    return inner
