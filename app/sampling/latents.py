"""Latents from seeds.

GENERATOR names the function from seeds to latents and is part of every answer. The function behind
a name never changes; another function gets another name.

    state(seed) = mix64(seed * 0xD1342543DE82EF95 + 0x5851F42D4C957F2D)     one stream per seed
    word i      = mix64(state + (i + 1) * 0x9E3779B97F4A7C15)               SplitMix64
    u, v        = (high 32 bits + 1) / 2^32, (low 32 bits) / 2^32           (0, 1], [0, 1)
    z[2i], z[2i + 1] = sqrt(-2 ln u) cos(2 pi v), sqrt(-2 ln u) sin(2 pi v) float64, then float32

Integer arithmetic is modulo 2^64. SplitMix64: Steele, Lea & Flood 2014, "Fast splittable
pseudorandom number generators"; normals from uniforms: Box & Muller 1958. Word i is a function of
(seed, i) alone, so the latents of a seed do not depend on how many are drawn, and a longer latent
begins with the shorter one.

To draw for a label, one more word chooses a component of the class's Gaussian mixture, and eps (the
z of a request without a label) chooses the point within that component:

    uniform     = (high 53 bits of word ceil(latent / 2)) / 2^53            [0, 1)
    component   = the first for which the cumulative sum of weights exceeds uniform
    z           = mean + factor (temperature * eps)                         float64, then float32

If a version has a `ClassLatents.min_class_probability`, a draw below it is repeated with the
following words, up to `ClassLatents.max_draws` draws in all. If the version's mixtures lie in the
space of q(z | x) (`ClassLatents.before_flow`), the caller sends the result through the version's
flow.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from app.typing import Floats
from model_store.arithmetic.normals import box_muller
from model_store.class_latents import ClassLatents

GENERATOR = "splitmix64-boxmuller-1"
SEEDS = 2**32
"""Number of seeds, which are 0..SEEDS-1."""

_MULTIPLIER = np.uint64(0xD1342543DE82EF95)
_INCREMENT = np.uint64(0x5851F42D4C957F2D)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31 = (np.uint64(shift) for shift in (11, 27, 30, 31))
_LOW_32 = np.uint64(0xFFFFFFFF)


def random_seed() -> int:
    """Choose a seed for a request that names none."""
    return secrets.randbelow(SEEDS)


def consecutive_seeds(seed: int, n: int) -> NDArray[np.uint64]:
    """Return seed, seed + 1, ... modulo 2^32; (n,)."""
    return np.arange(seed, seed + n, dtype=np.uint64) & _LOW_32


def splitmix64(state: NDArray[np.uint64], words: int) -> NDArray[np.uint64]:
    """Return the first outputs of SplitMix64 from each state; (batch,) -> (batch, words)."""
    steps = np.arange(1, words + 1, dtype=np.uint64) * _GOLDEN
    return _mix64(state[:, None] + steps)


def standard_normal(seeds: NDArray[np.uint64], latent: int) -> Floats:
    """Draw z ~ N(0, I), row i from seeds[i] alone; (batch,) -> (batch, latent)."""
    return box_muller(_words(seeds, (latent + 1) // 2))[:, :latent]


def class_latents(
    classes: ClassLatents, label: int, seeds: NDArray[np.uint64], temperature: float
) -> Floats:
    """Draw z from the mixture of a class, row i from seeds[i] alone; (batch,) -> (batch, latent).

    z lies in the space of the mixture. The temperature scales the spread within a component;
    0 gives the means of the components.
    """
    uniforms, eps = class_draws(seeds, classes[label].latent, classes.max_draws)
    drawn = [
        classes.draw(label, row_uniforms, row_eps)
        for row_uniforms, row_eps in zip(uniforms.tolist(), temperature * eps, strict=True)
    ]
    return np.stack(drawn).astype(np.float32)


def class_draws(
    seeds: NDArray[np.uint64], latent: int, draws: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the random numbers of some draws for a class, row i from seeds[i] alone.

    Uniform numbers in [0, 1) (batch, draws), and eps ~ N(0, I) (batch, draws, latent).
    """
    normal_words = (latent + 1) // 2
    words = _words(seeds, draws * (normal_words + 1)).reshape(-1, normal_words + 1)
    uniforms = (words[:, normal_words] >> _S11).astype(np.float64) * 2.0**-53
    eps = box_muller(words[:, :normal_words])[:, :latent].astype(np.float64)
    return uniforms.reshape(-1, draws), eps.reshape(-1, draws, latent)


def _words(seeds: NDArray[np.uint64], words: int) -> NDArray[np.uint64]:
    return splitmix64(_mix64(seeds * _MULTIPLIER + _INCREMENT), words)


def _mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)
