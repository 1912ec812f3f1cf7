"""Paths through the latent space: between two latents, and along single dimensions."""

import numpy as np
from numpy.typing import NDArray

from app.typing import Floats

_NEARLY_PARALLEL = 1e-3
"""Angle (radians) below which slerp is replaced by lerp.

The arc is then a straight line to within one part in a million, and slerp divides by almost 0.
"""


def lerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Return points on the straight line from a to b, both included; -> (steps, latent)."""
    t = np.linspace(0.0, 1.0, steps)[:, None]
    return _with_exact_ends((1.0 - t) * a + t * b, a, b)


def slerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Return points on the arc from a to b, both included; -> (steps, latent).

    Shoemake 1985; for latents White 2016, "Sampling generative networks". The norm moves between
    the norms of a and b, whereas lerp passes through the improbable middle. If a and b are nearly
    parallel, nearly opposite or zero, no arc is defined, and the result is that of lerp.
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
    """Convert to float32, with a and b as they were passed at the ends."""
    z = path.astype(np.float32)
    z[0], z[-1] = a, b
    return z


def traversal_values(span: float, steps: int) -> Floats:
    """Return `steps` evenly spaced values from -span to +span; (steps,)."""
    return np.linspace(-span, span, steps).astype(np.float32)


def traversal(z: Floats, dims: tuple[int, ...], values: Floats) -> Floats:
    """Set z[d] to each value, for each dimension d; (latent,) -> (dims * steps, latent).

    The rows of one dimension follow each other. Higgins et al. 2017, "beta-VAE", section 4.
    """
    grid = np.tile(z, (len(dims), len(values), 1))
    for row, d in enumerate(dims):
        grid[row, :, d] = values
    return grid.reshape(-1, len(z))
