"""Paths through the latent space: between two latents, and along single dimensions."""

from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from app.sampling.finite import check_float32
from app.typing import Floats
from model_store.arithmetic import rounding

_NEARLY_PARALLEL = 0.9999995
"""|cosine| above which slerp is replaced by lerp: that of an angle of 0.001 radians.

The arc is then a straight line to within one part in a million, and slerp divides by almost 0.
"""
_ERROR = 2.0**-40
"""Largest error of a point on an arc in float64, relative to |a| + |b|.

If a and b are almost parallel, the sine of their angle is only 0.001, so ten of the fifty-three
bits are lost.
"""

Doubles = NDArray[np.float64]


def lerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Return points on the straight line from a to b, both included; -> (steps, latent)."""
    t = np.linspace(0.0, 1.0, steps)[:, None]
    return _with_exact_ends(((1.0 - t) * a + t * b).astype(np.float32), a, b)


def slerp(a: Floats, b: Floats, steps: int) -> Floats:
    """Return points on the arc from a to b, both included; -> (steps, latent).

    Shoemake 1985; for latents White 2016, "Sampling generative networks". The norm moves between
    the norms of a and b, whereas lerp passes through the improbable middle. If a and b are nearly
    parallel, nearly opposite or zero, no arc is defined, and the result is that of lerp. Points
    are correctly rounded, so that they are the same on every machine. Raises NotFiniteError.
    """
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    squares = rounding.sequential_sum(np.stack([a64 * a64, b64 * b64, a64 * b64]))
    norms = float(np.sqrt(squares[0]) * np.sqrt(squares[1]))
    if norms == 0.0:
        return lerp(a, b, steps)
    cosine = float(squares[2]) / norms
    if abs(cosine) > _NEARLY_PARALLEL:
        return lerp(a, b, steps)
    angle = float(np.arccos(cosine))
    t = np.linspace(0.0, 1.0, steps)[:, None]
    arc = (np.sin((1.0 - t) * angle) * a64 + np.sin(t * angle) * b64) / np.sin(angle)
    check_float32(arc, "a point on the arc")
    errors = np.broadcast_to((np.abs(a64) + np.abs(b64)) * _ERROR, arc.shape)

    def exactly(index: tuple[int, ...]) -> Decimal:
        return _point(float(t[index[0], 0]), cosine, a64[index[1]], b64[index[1]])

    return _with_exact_ends(rounding.to_float32(arc, errors, exactly), a, b)


def _point(t: float, cosine: float, a: float, b: float) -> Decimal:
    """Return one number of a point on an arc, with fifty digits; `cosine` is that of its angle."""
    context = rounding.DIGITS
    angle = rounding.acos_radians(Decimal(cosine), float(np.arccos(cosine)))
    ahead = rounding.sin_radians(context.multiply(Decimal(1.0 - t), angle))
    behind = rounding.sin_radians(context.multiply(Decimal(t), angle))
    total = context.add(
        context.multiply(ahead, Decimal(float(a))), context.multiply(behind, Decimal(float(b)))
    )
    return context.divide(total, rounding.sin_radians(angle))


def _with_exact_ends(path: Floats, a: Floats, b: Floats) -> Floats:
    """Set the ends of a path, (steps, latent), to a and b as they were passed."""
    path[0], path[-1] = a, b
    return path


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
