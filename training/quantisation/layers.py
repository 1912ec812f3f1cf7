"""One layer as integers: the finest weights whose sums stay exact.

A layer's inputs are integers; `step` (in,) is the real size of one unit of each input channel and
`bounds` (in,) its largest integer. Its outputs are in multiples of `unit` (out,). For each output
channel the largest exponent e is taken for which

    sum |rint(w step / unit 2^e)| * bounds + |rint(b / unit 2^e)| < 2^24.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Convolution,
    Deconvolution,
    Dense,
    LatentDense,
)
from model_store.arithmetic.proof import EXACT, EXACT_64

Doubles = NDArray[np.float64]
Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d

GREATEST_WEIGHT = 2**15 - 1
GREATEST_LATENT_WEIGHT = 2**30
HIGHEST_EXPONENT = 60
"""Highest exponent that is tried; only channels with weights near 0 could use higher ones."""


def integer_layer(
    layer: Layer, step: Doubles, bounds: Doubles, unit: Doubles, bias: Doubles | None = None
) -> Dense | Convolution | Deconvolution:
    """Return the layer in integers; `bias` (out,), in real units, replaces the layer's own bias."""
    weight = _weight(layer)
    bias = layer_bias(layer) if bias is None else bias
    spread = (-1, *[1] * (weight.ndim - 2))
    weight = weight * step.reshape(spread) / unit.reshape(-1, 1, *[1] * (weight.ndim - 2))
    largest_input = bounds.reshape(spread)
    stride = int(layer.stride[0]) if isinstance(layer, nn.ConvTranspose2d) else 1
    integers, offsets, exponent = _finest(weight, bias / unit, largest_input, stride)
    w16, b32 = integers.astype(np.int16), offsets.astype(np.int32)
    e32 = exponent.astype(np.int32)
    match layer:
        case nn.Conv2d():
            return Convolution(w16, b32, e32, int(layer.stride[0]), _padding(layer))
        case nn.ConvTranspose2d():
            extra = (int(layer.output_padding[0]), int(layer.output_padding[1]))
            w16 = np.ascontiguousarray(w16.swapaxes(0, 1))
            return Deconvolution(w16, b32, e32, int(layer.stride[0]), _padding(layer), extra)
        case _:
            return Dense(w16, b32, e32)


def integer_latent_layer(layer: nn.Linear, unit: Doubles) -> LatentDense:
    """Return the first layer of latents; its outputs are integers, in multiples of `unit` (out,)."""
    weight = _weight(layer) / unit[:, None] * 2.0**-LATENT_EXPONENT
    bias = layer_bias(layer) / unit
    largest = LATENT_LIMIT * 2.0**LATENT_EXPONENT
    exponent = np.full(len(weight), float(HIGHEST_EXPONENT))
    while True:
        scale = 2.0**exponent
        integers, offsets = np.rint(weight * scale[:, None]), np.rint(bias * scale)
        sums = np.abs(integers).sum(axis=1) * largest + np.abs(offsets)
        bad = (sums >= EXACT_64) | (np.abs(integers).max(axis=1) > GREATEST_LATENT_WEIGHT)
        if not bad.any():
            break
        exponent[bad] -= 1
    return LatentDense(
        integers.astype(np.int32), offsets.astype(np.int64), exponent.astype(np.int32)
    )


def layer_bias(layer: Layer) -> Doubles:
    """Return the layer's bias in float64, zeros if it has none; (out,)."""
    if layer.bias is None:
        return np.zeros(_weight(layer).shape[0])
    return np.asarray(layer.bias.detach().numpy(), np.float64)


def _weight(layer: Layer) -> Doubles:
    """Return the weight (out, in, ...) in float64, also of a transposed convolution."""
    weight = np.asarray(layer.weight.detach().numpy(), np.float64)
    return weight.swapaxes(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight


def _finest(
    weight: Doubles, bias: Doubles, largest_input: Any, stride: int
) -> tuple[Doubles, Doubles, Doubles]:
    """Return integer weights (out, in, ...), integer biases (out,) and exponents (out,)."""
    exponent = _above_every_exponent(weight, bias, largest_input, stride)
    spread = (-1, *[1] * (weight.ndim - 1))
    while True:
        scale = 2.0**exponent
        integers, offsets = np.rint(weight * scale.reshape(spread)), np.rint(bias * scale)
        sums = _sums(np.abs(integers) * largest_input, stride) + np.abs(offsets)
        greatest = np.abs(integers).reshape(len(weight), -1).max(axis=1)
        bad = (sums >= EXACT) | (greatest > GREATEST_WEIGHT)
        if not bad.any():
            return integers, offsets, exponent
        exponent[bad] -= 1


def _above_every_exponent(
    weight: Doubles, bias: Doubles, largest_input: Any, stride: int
) -> Doubles:
    """Return exponents (out,) that are at least the largest possible ones: the start of the search.

    Rounding to integers can lower a sum, so a few bits are added to the exponents for real weights.
    """
    sums = _sums(np.abs(weight) * largest_input, stride) + np.abs(bias)
    greatest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    tiny = 2.0**-HIGHEST_EXPONENT
    by_sum = np.log2(EXACT / np.maximum(sums, tiny)) + 4
    by_weight = np.log2(GREATEST_WEIGHT / np.maximum(greatest, tiny)) + 1
    highest = np.minimum(np.ceil(np.minimum(by_sum, by_weight)), float(HIGHEST_EXPONENT))
    return np.asarray(highest, np.float64)


def _sums(largest: Doubles, stride: int) -> Doubles:
    """Return the bound of each output channel's sum, the largest of its phases; (out,)."""
    phases = (
        [
            largest[..., i::stride, j::stride].reshape(len(largest), -1).sum(axis=1)
            for i in range(stride)
            for j in range(stride)
        ]
        if largest.ndim == 4
        else [largest.sum(axis=1)]
    )
    return np.asarray(np.max(phases, axis=0))


def _padding(layer: nn.Conv2d | nn.ConvTranspose2d) -> int:
    return int(layer.padding[0])
