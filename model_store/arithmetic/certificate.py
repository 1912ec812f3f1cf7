"""Scales of activations for which every library rounds to the same integer.

SiLU is evaluated at finitely many points: integers n times 2^-exponent. A scale is certified if, at
every point, scale * silu(n 2^-exponent) stays farther from a rounding boundary (an integer plus one
half) than any implementation's error. Then every implementation rounds to the same integer.

The allowed error has two parts. The sigmoid may have an absolute error of 2^-22 (ONNX Runtime's
vectorised sigmoid, for example, is exactly 0 below -18). Each of at most three float32
multiplications around it adds a relative error of at most 2^-24.
"""

import functools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGMOID_ERROR = 2.0**-22
"""Largest absolute error of a sigmoid in float32 that the certificate allows."""
ROUNDING = 3 * 2.0**-24
"""Largest relative error of three float32 multiplications, to first order."""
TAIL_ERROR = 2.0**-24
"""Largest absolute error of the sigmoid below -FAR that the proof allows."""
FAR = 24.0
"""Inputs from -FAR upwards are checked; below -FAR the sigmoid is less than 2^-34."""
SILU_DEPTH = 0.2785
"""SiLU is nowhere below minus this (rounded up)."""
SCALE_STEP = 2.0**-13
"""Relative distance between the scales that `nearest_certified_scale` tries."""
TRIES = 2000
"""Number of scales that `nearest_certified_scale` tries."""
SCALES_AT_ONCE = 64
POINTS_AT_ONCE = 256


def level_bounds(scale: NDArray[np.float32], highest: int) -> NDArray[np.int64]:
    """Return the largest absolute level behind SiLU, for each channel's scale; (channels,)."""
    deepest = np.ceil(SILU_DEPTH * scale.astype(np.float64)).astype(np.int64)
    return np.maximum(highest, deepest)


def margin(scale: float, exponent: int, highest: int) -> float:
    """Return the smallest distance from a rounding boundary, as a multiple of the allowed error.

    If it is above 1, min(rint(scale * silu(n 2^-exponent)), highest) is the same integer on every
    machine, for every n.
    """
    x, silu = _silu(exponent, highest, scale)
    value = silu * scale
    below = value < highest + 1
    return float((_distance(value) / _error(scale, x, value))[below].min())


def nearest_certified_scale(scale: float, exponent: int, highest: int) -> np.float32:
    """Return the largest certified float32 scale that is not above `scale`.

    Raises ValueError if no scale within a quarter of `scale` is certified.
    """
    for first in range(0, TRIES, SCALES_AT_ONCE):
        steps = np.arange(first, min(first + SCALES_AT_ONCE, TRIES))
        scales = np.asarray(scale * (1 - SCALE_STEP * steps), np.float64)
        for candidate in _promising(scales, exponent, highest):
            if margin(float(candidate), exponent, highest) > 1:
                return np.float32(candidate)
    raise ValueError(f"no certified scale near {scale} with highest level {highest}")


def _promising(scales: NDArray[np.float64], exponent: int, highest: int) -> NDArray[np.float32]:
    """Remove the scales that cannot be certified, and round the others to float32.

    The points with the largest values are checked first. Errors are largest there, so nearly all
    scales fail at one of them.
    """
    candidates = scales.astype(np.float32)
    x, silu = _silu(exponent, highest, float(candidates.min()))
    for end in range(len(x), 0, -POINTS_AT_ONCE):
        points = slice(max(0, end - POINTS_AT_ONCE), end)
        scale = candidates.astype(np.float64)[:, None]
        value = silu[points] * scale
        error = _error(scale, x[points], value)
        certain = _distance(value) > error
        candidates = candidates[(certain | (value >= highest + 1)).all(axis=1)]
        if len(candidates) == 0:
            break
    return candidates


def _error(scale: Any, x: NDArray[np.float64], value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest allowed error of `value` = scale * silu(x); broadcast shape."""
    error = scale * np.abs(x) * SIGMOID_ERROR + np.abs(value) * ROUNDING + 1e-12
    return np.asarray(error, np.float64)


def _distance(value: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each value from the nearest integer plus one half; same shape."""
    return np.asarray(np.abs(value - np.floor(value) - 0.5), np.float64)


def points(scale: float, exponent: int, highest: int) -> int:
    """Return the number of points at which `margin` evaluates SiLU."""
    return _last_point(scale, exponent, highest) + int(FAR * 2**exponent) + 1


def _last_point(scale: float, exponent: int, highest: int) -> int:
    top: float = max((highest + 2) / scale, 8.0)
    return math.ceil(math.ldexp(top, exponent)) + 1


def _silu(
    exponent: int, highest: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inputs x and silu(x) in float64, (points,) both, for all levels up to `highest`."""
    return _silu_table(exponent, _last_point(scale, exponent, highest))


@functools.lru_cache(maxsize=64)
def _silu_table(exponent: int, last: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first = -int(FAR * 2**exponent)
    x = np.arange(first, last + 1, dtype=np.float64) * 2.0**-exponent
    return x, x / (1 + np.exp(-x))
