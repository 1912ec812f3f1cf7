"""Latent vectors: from seeds, between two of them, along one dimension. Pure numpy.

GENERATOR names the function from seeds to latents and is part of every answer. It never changes
its meaning: another function gets another name.

    state(seed) = mix64(seed * 0xD1342543DE82EF95 + 0x5851F42D4C957F2D)     one stream per seed
    word i      = mix64(state + (i + 1) * 0x9E3779B97F4A7C15)               SplitMix64
    u, v        = (high 32 bits + 1) / 2^32, (low 32 bits) / 2^32           (0, 1], [0, 1)
    z[2i], z[2i + 1] = sqrt(-2 ln u) cos(2 pi v), sqrt(-2 ln u) sin(2 pi v) float64, then float32

All arithmetic of integers is modulo 2^64. SplitMix64: Steele, Lea & Flood 2014, "Fast splittable
pseudorandom number generators"; normals from uniforms: Box & Muller 1958. Word i is a function of
(seed, i) alone, so the latents of one seed do not depend on how many are drawn, and a longer
latent begins with the shorter one.

With a label the word after those of z chooses a component of the class's Gaussian mixture, and
eps, which is z without a label, the place in it:

    uniform     = (high 53 bits of word ceil(latent / 2)) / 2^53            [0, 1)
    component   = the first whose weights, summed in order, exceed uniform
    z           = mean + factor (temperature * eps)                         float64, then float32

If a version asks for a `ClassLatents.min_class_probability`, a draw below it is repeated with the
words that follow, up to `ClassLatents.max_draws` draws in all. If its mixtures lie in the space of
q(z | x) (`ClassLatents.before_flow`), the result goes through the version's flow.
"""

import secrets

import numpy as np
from numpy.typing import NDArray

from model_store.class_latents import ClassLatents

Floats = NDArray[np.float32]

GENERATOR = "splitmix64-boxmuller-1"
SEEDS = 2**32
"""Seeds are 0..SEEDS-1."""

_MULTIPLIER = np.uint64(0xD1342543DE82EF95)
_INCREMENT = np.uint64(0x5851F42D4C957F2D)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30, _S31, _S32 = (np.uint64(shift) for shift in (11, 27, 30, 31, 32))
_LOW_32 = np.uint64(0xFFFFFFFF)
_NEARLY_PARALLEL = 1e-3
"""Radians; below it the arc is a line to one part in a million, and slerp divides by little."""


# --- seeds -------------------------------------------------------------------------------------


def random_seed() -> int:
    """A seed for a request that names none."""
    return secrets.randbelow(SEEDS)


def consecutive_seeds(seed: int, n: int) -> NDArray[np.uint64]:
    """seed, seed + 1, ... modulo 2^32; (n,)."""
    return (np.uint64(seed) + np.arange(n, dtype=np.uint64)) & _LOW_32


def splitmix64(state: NDArray[np.uint64], words: int) -> NDArray[np.uint64]:
    """The first outputs of SplitMix64 from each state; (batch,) -> (batch, words)."""
    steps = np.arange(1, words + 1, dtype=np.uint64) * _GOLDEN
    return _mix64(state[:, None] + steps)


def standard_normal(seeds: NDArray[np.uint64], latent: int) -> Floats:
    """z ~ N(0, I), row i from seeds[i] alone; (batch,) -> (batch, latent)."""
    return _normals(_words(seeds, (latent + 1) // 2), latent)


def of_class(
    classes: ClassLatents, label: int, seeds: NDArray[np.uint64], temperature: float
) -> Floats:
    """z of one class, row i from seeds[i] alone; (batch,) -> (batch, latent).

    It lies in the space of the class's mixture. The temperature scales the spread within a
    component; 0 gives the components' means.
    """
    uniforms, eps = numbers_of_tries(seeds, classes[label].latent, classes.max_draws)
    drawn = [
        classes.draw(label, some, rows)
        for some, rows in zip(uniforms.tolist(), temperature * eps, strict=True)
    ]
    return np.stack(drawn).astype(np.float32)


def numbers_of_tries(
    seeds: NDArray[np.uint64], latent: int, tries: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What each of so many draws for a class needs, row i from seeds[i] alone.

    Uniform numbers in [0, 1) (batch, tries), and eps ~ N(0, I) (batch, tries, latent).
    """
    place = (latent + 1) // 2
    words = _words(seeds, tries * (place + 1)).reshape(-1, place + 1)
    uniforms = (words[:, place] >> _S11).astype(np.float64) * 2.0**-53
    eps = _normals(words[:, :place], latent).astype(np.float64)
    return uniforms.reshape(-1, tries), eps.reshape(-1, tries, latent)


def _normals(words: NDArray[np.uint64], latent: int) -> Floats:
    """(batch, ceil(latent / 2)) -> (batch, latent)."""
    u = ((words >> _S32).astype(np.float64) + 1.0) * 2.0**-32
    angle = (words & _LOW_32).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    radius = np.sqrt(-2.0 * np.log(u))
    z = np.empty((len(words), 2 * words.shape[1]), np.float32)
    z[:, 0::2] = radius * np.cos(angle)
    z[:, 1::2] = radius * np.sin(angle)
    return z[:, :latent]


def _words(seeds: NDArray[np.uint64], words: int) -> NDArray[np.uint64]:
    return splitmix64(_mix64(seeds * _MULTIPLIER + _INCREMENT), words)


def _mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> _S30)) * _MIX_1
    x = (x ^ (x >> _S27)) * _MIX_2
    return x ^ (x >> _S31)


# --- between two latents -----------------------------------------------------------------------


def lerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Points on the straight line from a to b, both included; (latent,) -> (steps, latent)."""
    t = np.linspace(0.0, 1.0, steps)[:, None]
    return _with_exact_ends((1.0 - t) * a + t * b, a, b)


def slerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Points on the arc from a to b, both included; (latent,) -> (steps, latent).

    Shoemake 1985; for latents White 2016, "Sampling generative networks": the norm moves between
    those of the ends, where lerp passes through the improbable middle. Where the ends are nearly
    parallel, opposite or zero no arc is defined, and it is lerp.
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(a64)) * float(np.linalg.norm(b64))
    if norms == 0.0:
        return lerp(a, b, steps)
    cosine = float(a64 @ b64) / norms
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    if min(angle, np.pi - angle) < _NEARLY_PARALLEL:
        return lerp(a, b, steps)
    t = np.linspace(0.0, 1.0, steps)[:, None]
    arc = (np.sin((1.0 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return _with_exact_ends(arc, a, b)


def _with_exact_ends(path: NDArray[np.float64], a: Floats, b: Floats) -> Floats:
    z = path.astype(np.float32)
    z[0], z[-1] = a, b
    return z


# --- along one dimension -----------------------------------------------------------------------


def traversal_values(span: float, steps: int) -> Floats:
    """`steps` values from -span to +span, evenly; (steps,)."""
    return np.linspace(-span, span, steps).astype(np.float32)


def traversal(z: Floats, dims: tuple[int, ...], values: Floats) -> Floats:
    """z with z[d] set to each value, for each d; (latent,) -> (dims * steps, latent).

    Higgins et al. 2017, "beta-VAE", section 4. Rows of one dimension follow each other.
    """
    grid = np.tile(z, (len(dims), len(values), 1))
    for row, d in enumerate(dims):
        grid[row, :, d] = values
    return grid.reshape(-1, len(z))


# --- what the encoder says ---------------------------------------------------------------------


def around(mu: Floats, logvar: Floats, eps: Floats, temperature: float) -> Floats:
    """z = mu + temperature * sigma * eps; (latent,), (latent,), (batch, latent) -> like eps.

    The reparameterisation of Kingma & Welling 2014, section 2.4.
    """
    sigma = np.exp(0.5 * logvar.astype(np.float64))
    return np.asarray(mu + temperature * sigma * eps, np.float32)


def kl_to_standard_normal(mu: Floats, logvar: Floats) -> NDArray[np.float64]:
    """KL(N(mu, sigma^2) || N(0, I)); both (batch, latent) -> (batch,), nats, >= 0.

    Kingma & Welling 2014, appendix B.
    """
    mu64, logvar64 = mu.astype(np.float64), logvar.astype(np.float64)
    kl = 0.5 * (np.square(mu64) + np.exp(logvar64) - 1.0 - logvar64)
    return np.asarray(kl.sum(axis=1))
