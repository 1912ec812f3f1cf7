"""The functions in plain numpy: the reference that tests compare the others with.

With float64 sums it is the reference. With float32 sums it gives the same bytes, and is also fast
for networks that have linear layers only.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.executors.scaling import ROUNDED_LIMIT, scaled_affine, scaled_layer
from model_store.arithmetic.factors import factor
from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    Floats,
    FlowMap,
    Fork,
    Function,
    Join,
    LatentDense,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)

Array = NDArray[Any]


class NumpyExecutor:
    """Runs a function with numpy; `sums` is the type in which layers add, float64 or float32."""

    def __init__(self, function: Function, sums: Any = np.float64) -> None:
        self._sums = sums
        self._steps = [(operation, _prepared(operation, sums)) for operation in function]

    def __call__(self, batch: Floats) -> Floats:
        """Run the operations one after the other."""
        value: Array = batch
        remembered: Array | None = None
        for operation, prepared in self._steps:
            if isinstance(operation, Fork):
                remembered = value
            elif isinstance(operation, Join):
                value = np.add(cast(Array, remembered), value)
            elif isinstance(operation, FlowMap):
                value = _run_flow(operation, prepared, batch)
            else:
                value = _run(operation, prepared, value)
        if isinstance(operation, FlowMap):
            return value
        return np.add(value, np.float32(0), dtype=np.float32)  # turns -0 into 0


def _prepared(  # noqa: PLR0911 - one case an operation
    operation: Operation, sums: Any
) -> tuple[Any, ...]:
    """Return the arrays of an operation in the type of the sums; linear weights as (in, out).

    For a flow, return the executors of its couplings' nets.
    """
    match operation:
        case FlowMap(couplings=couplings):
            return tuple(NumpyExecutor(coupling.net, sums) for coupling in couplings)
        case LatentDense():
            weight, bias = scaled_layer(operation, np.float64)
            return np.ascontiguousarray(weight.T), bias
        case Dense():
            weight, bias = scaled_layer(operation, sums)
            return np.ascontiguousarray(weight.T), bias
        case Convolution() | Deconvolution():
            return scaled_layer(operation, sums)
        case Affine():
            return scaled_affine(operation)
        case SiluLevels():
            return (operation.scale.astype(np.float64),)
        case _:
            return ()


def _run(  # noqa: PLR0911 - one case an operation
    operation: Operation, arrays: tuple[Any, ...], value: Array
) -> Array:
    match operation:
        case LatentDense():
            z = np.clip(value, -LATENT_LIMIT, LATENT_LIMIT).astype(np.float64)
            sums = np.rint(z * 2.0**LATENT_EXPONENT) @ arrays[0] + arrays[1]
            return _as_float32(np.clip(np.rint(sums), -ROUNDED_LIMIT, ROUNDED_LIMIT))
        case Dense():
            return _as_float32(value.astype(arrays[0].dtype, copy=False) @ arrays[0] + arrays[1])
        case Convolution(stride=stride, padding=padding):
            return _as_float32(_convolve(value, arrays[0], stride, padding) + _maps(arrays[1]))
        case Deconvolution():
            return _as_float32(_deconvolve(operation, arrays[0], value) + _maps(arrays[1]))
        case Affine(limit=limit):
            levels = np.clip(np.rint(value), -limit, limit)
            return levels * _channels(arrays[0], value) + _channels(arrays[1], value)
        case ReluLevels(highest=highest):
            return _as_float32(np.rint(np.clip(value, 0, highest)))
        case SiluLevels(highest=highest, exponent=exponent):
            x = np.rint(value).astype(np.float64) * 2.0**-exponent
            silu = x / (1 + np.exp(-np.clip(x, -80, 80)))
            levels = np.minimum(np.rint(silu * _channels(arrays[0], value)), highest)
            return _as_float32(levels)
        case Reshape(shape=shape):
            return value.reshape(len(value), *shape)
        case _:
            raise TypeError(f"{operation.kind} is handled by the caller")


def _run_flow(flow: FlowMap, nets: Sequence["NumpyExecutor"], batch: Floats) -> Floats:
    """Change one half of the dimensions after the other; see `FlowMap` for the result."""
    value, used = batch.copy(), []
    couplings = list(zip(flow.couplings, nets, strict=True))
    for coupling, net in reversed(couplings) if flow.inverse else couplings:
        kept, changed = coupling.dimensions(flow.latent)
        raw, shift = np.split(net(np.ascontiguousarray(value[:, kept])), 2, axis=1)
        if flow.inverse:
            value[:, changed] = (value[:, changed] - shift) * factor(-raw)
        else:
            used.append(factor(raw))
            value[:, changed] = value[:, changed] * used[-1] + shift
    return np.concatenate([value, *used], axis=1)


def _as_float32(sums: Array) -> Array:
    return np.asarray(sums, np.float32)


def _maps(bias: Array) -> Array:
    return bias.reshape(-1, 1, 1)


def _channels(array: Array, value: Array) -> Array:
    """Reshape (channels,) to broadcast over `value` (batch, channels, ...)."""
    return array.reshape(-1, *[1] * (value.ndim - 2))


def _convolve(x: Array, weight: Array, stride: int, padding: int) -> Array:
    """Cross-correlate, as torch's conv2d: (batch, in, h, w) -> (batch, out, h', w')."""
    kernel = weight.shape[2:]
    around = (padding, padding)
    padded = np.pad(x, ((0, 0), (0, 0), around, around)).astype(weight.dtype, copy=False)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]  # (batch, in, h', w', kernel, kernel)
    batch, _, height, width = windows.shape[:4]
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(batch * height * width, -1)
    sums = columns @ weight.reshape(len(weight), -1).T
    return np.asarray(sums.reshape(batch, height, width, -1).transpose(0, 3, 1, 2))


def _deconvolve(layer: Deconvolution, weight: Array, x: Array) -> Array:
    """Convolve transposed: each input pixel adds its kernel to the result; (batch, out, h', w')."""
    batch, channels, height, width = x.shape
    _, out, rows, columns = weight.shape
    s, p = layer.stride, layer.padding
    tall = (height - 1) * s + rows + layer.output_padding[0]
    wide = (width - 1) * s + columns + layer.output_padding[1]
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, channels).astype(weight.dtype, copy=False)
    parts = (pixels @ weight.reshape(channels, -1)).reshape(
        batch, height, width, out, rows, columns
    )
    result = np.zeros((batch, out, tall, wide), weight.dtype)
    for i in range(rows):
        for j in range(columns):
            place = result[:, :, i : i + height * s : s, j : j + width * s : s]
            place += parts[..., i, j].transpose(0, 3, 1, 2)
    return result[:, :, p : tall - p, p : wide - p]
