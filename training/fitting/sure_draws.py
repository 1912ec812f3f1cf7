"""Fit the flow again to draws of its own that a classifier is sure of.

A flow that is close to the aggregate posterior in nats still draws some images between two classes,
which are of neither. Draws that a classifier is sure of leave these out. A part of each batch are draws
from q(z | x) as before, so that the flow keeps describing all images. See docs/decisions/0146.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from model_store.vae import VAE, reparameterise
from model_store.vae.flow import RealNVP
from training.fitting.prior import EncodedImages
from training.fitting.schedule import cosine_after_warmup
from training.progress import tracked

BATCH = 500
"""Number of latents that pass through the flow at a time."""
WEIGHT_DECAY = 1e-3
WARMUP_STEPS = 100
CLIP_NORM = 5.0
EMA_DECAY = 0.995


@dataclass(frozen=True)
class Rounds:
    """How often and how long the flow is fitted again."""

    number: int
    draws: int = 30_000
    """Draws of each round."""
    temperature: float = 1.0
    """Standard deviation of u, which the flow takes to the latents of the draws."""
    fewest_draws: int = 1_000
    """Draws that the classifier has to be sure of; with fewer, the flow stays as it is."""
    steps: int = 800
    """Optimiser steps of each round."""
    encoded: int = 128
    """Draws from q(z | x) in a step."""
    sure: int = 384
    """Sure draws in a step."""
    learning_rate: float = 3e-4


Classes = Callable[[Tensor], Tensor]
"""Takes latents z (draws, latent); returns the class of each image, or -1 if it is not sure, (draws,)."""


@dataclass(frozen=True, eq=False)
class _SureDraws:
    """Latents z (draws, latent), and how often each is used, (draws,), relative to the others."""

    z: Tensor
    weights: Tensor


def fit_to_sure_draws(
    vae: VAE, encoded: EncodedImages, classes: Classes, shares: Tensor, rounds: Rounds, *, seed: int
) -> None:
    """Fit the flow of a VAE several times, each time to sure draws of the last one, in place.

    `shares` (classes,) are the shares of the classes among the training images; sure draws are used
    in these shares, so that a class whose images are hard to recognise does not get rarer.
    """
    flow = cast(RealNVP, vae.flow)
    vae.eval().requires_grad_(requires_grad=False)
    noise = torch.Generator(vae.device).manual_seed(seed)
    for _ in tracked(range(rounds.number)):
        sure = _sure_draws(vae, classes, shares.to(vae.device), rounds, noise)
        if len(sure.z) < rounds.fewest_draws:
            break
        averaged = _fit(vae, encoded, sure, rounds, noise)
        flow.load_state_dict(averaged.state_dict())
    flow.requires_grad_(requires_grad=False).eval()


@torch.no_grad()
def _sure_draws(
    vae: VAE, classes: Classes, shares: Tensor, rounds: Rounds, noise: torch.Generator
) -> _SureDraws:
    """Draw from the flow; keep draws of a class that the classifier is sure of and that has images."""
    flow = cast(RealNVP, vae.flow).eval()
    u = torch.randn((rounds.draws, vae.spec.latent), generator=noise, device=vae.device)
    u *= rounds.temperature
    z = torch.cat([flow.inverse(part) for part in torch.split(u, BATCH)])
    labels = classes(z).to(vae.device)
    used = (labels >= 0) & (shares[labels] > 0)
    z, labels = z[used], labels[used]
    drawn = torch.bincount(labels, minlength=len(shares)).clamp(min=1)
    return _SureDraws(z, (shares / drawn)[labels])


def _fit(
    vae: VAE, encoded: EncodedImages, sure: _SureDraws, rounds: Rounds, noise: torch.Generator
) -> RealNVP:
    """Return a moving average of the flow while it learns sure latents and draws from q(z | x)."""
    flow = cast(RealNVP, vae.flow).train().requires_grad_()
    average = AveragedModel(flow, avg_fn=_moved)
    adam = torch.optim.AdamW(flow.parameters(), lr=rounds.learning_rate, weight_decay=WEIGHT_DECAY)
    share = partial(cosine_after_warmup, warmup_steps=WARMUP_STEPS, steps=rounds.steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, share)
    for _ in range(rounds.steps):
        index = torch.randint(len(encoded), (rounds.encoded,), generator=noise, device=vae.device)
        eps = torch.randn((rounds.encoded, vae.spec.latent), generator=noise, device=vae.device)
        encoded_z = reparameterise(encoded.mu[index], encoded.logvar[index], eps)
        drawn = torch.multinomial(sure.weights, rounds.sure, replacement=True, generator=noise)
        loss = -vae.log_prior(torch.cat([encoded_z, sure.z[drawn]])).mean()
        adam.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(flow.parameters(), CLIP_NORM)
        adam.step()
        schedule.step()
        average.update_parameters(flow)
    return cast(RealNVP, average.module)


def _moved(average: Tensor, current: Tensor, _updates: Tensor | int) -> Tensor:
    """Return a moving average after one more value."""
    return torch.lerp(average, current, 1 - EMA_DECAY)
