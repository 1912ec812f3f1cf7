"""Weights and biases as executors use them: multiplied by 2^-exponent, which is exact."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    LatentDense,
)

Layer = LatentDense | Dense | Convolution | Deconvolution

ROUNDED_LIMIT = 2.0**22
"""Results of the first layer are clamped to +-2^22, so that float32 represents them exactly."""


def scaled_layer(layer: Layer, dtype: Any, sign: float = 1.0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weight and bias times sign * 2^-exponent, exactly, in the layout of the layer."""
    unit = sign * np.ldexp(1.0, -layer.exponent)
    shape = [1] * layer.weight.ndim
    shape[1 if isinstance(layer, Deconvolution) else 0] = -1
    return (layer.weight * unit.reshape(shape)).astype(dtype), (layer.bias * unit).astype(dtype)


def scaled_affine(affine: Affine) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scale and bias times 2^-exponent, exactly, as float32; both (channels,)."""
    unit = np.ldexp(1.0, -affine.exponent)
    return (affine.scale * unit).astype(np.float32), (affine.bias * unit).astype(np.float32)


def largest_sum(layer: LatentDense) -> float:
    """Return a bound of the absolute results of the first layer, before they are clamped."""
    weight, bias = (np.abs(array.astype(np.float64)) for array in (layer.weight, layer.bias))
    sums = weight.sum(axis=1) * (LATENT_LIMIT * 2.0**LATENT_EXPONENT) + bias
    return float(np.ldexp(sums, -layer.exponent).max()) + 1
