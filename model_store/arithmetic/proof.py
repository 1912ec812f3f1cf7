"""Proof, in integers, that every machine computes the same result of a function.

Operations are checked in order, with the shape of their input and, for each channel, a bound of its
absolute value. A function is refused if a layer's input is not integers, a sum could reach 2^24
(2^53 in the first layer), a shape does not fit, or the scale of an activation is not certified. It is
also refused if its computation, or the proof itself, would take too much memory or time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic import certificate, likelihood
from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    ExactNetwork,
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
from model_store.errors import CorruptVersionError
from model_store.spec import ModelSpec

EXACT = 2**24
"""float32 represents all integers up to this one, so sums that stay below it are exact."""
EXACT_64 = 2**53
"""float64 represents all integers up to this one, so sums that stay below it are exact."""
MAX_VALUES = 2**22
"""Largest number of values of one image between two operations: 16 MiB in float32."""
MAX_WEIGHTS = 2**28
"""Largest number of weights of one layer; the proof needs eight bytes for each."""
MAX_MULTIPLICATIONS = 2**34
"""Largest number of multiplications of one function: some seconds on one core."""
MAX_POINTS = 2**20
"""Largest number of points at which one scale is checked; the shipped versions need up to 26,400."""
MAX_CHECKS = 2**26
"""Largest number of points at which all scales of one activation are checked: some seconds."""
LARGEST_EXPONENT = 100
"""Largest |exponent| of a layer; 2^-100 times an integer below 2^24 is a normal float32."""
GREATEST_GREY = 255

_LAYERS = (LatentDense, Dense, Convolution, Deconvolution)

Bounds = NDArray[np.int64]


class ProofError(CorruptVersionError):
    """An exact network breaks a rule of its arithmetic."""


@dataclass(frozen=True)
class _Value:
    """A value between two operations.

    `shape` is without the batch. `kind` is "latents", "levels" (integers) or "real". For levels,
    `bounds` (channels,) holds the largest absolute integer of each channel; for real values,
    `largest` is the largest absolute value. `remembered` is the value that a `Fork` stored.
    """

    shape: tuple[int, ...]
    kind: str
    bounds: Bounds | None = None
    largest: float = 0.0
    remembered: "_Value | None" = None


def prove(network: ExactNetwork, spec: ModelSpec) -> None:
    """Raise ProofError unless every function of the network is exact and fits the spec."""
    image = spec.image.shape
    grey = _Value(image, "levels", np.full(image[0], GREATEST_GREY, np.int64))
    _prove("encode", network.encode, grey, (2 * spec.latent,))
    _prove("decode", network.decode, _Value((spec.latent,), "latents"), image)
    _prove_likelihood(network, spec)
    couplings = 0 if spec.prior is None else spec.prior.couplings
    if len(network.flow) != couplings:
        raise ProofError(f"flow has {len(network.flow)} couplings, the spec asks for {couplings}")
    for i, coupling in enumerate(network.flow):
        if coupling.kept != i % 2:
            raise ProofError(f"flow.{i} keeps dimensions {coupling.kept}, expected {i % 2}")
        changed = coupling.changed(spec.latent)
        kept = spec.latent - changed
        _prove(f"flow.{i}", coupling.net, _Value((kept,), "latents"), (2 * changed,))


def _prove_likelihood(network: ExactNetwork, spec: ModelSpec) -> None:
    log_scale = network.log_scale
    if (log_scale is not None) != (spec.likelihood == "discretised_logistic"):
        raise ProofError(f"log_scale does not fit the likelihood {spec.likelihood}")
    if log_scale is None:
        return
    if log_scale.shape != (spec.image.channels,) or not np.isfinite(log_scale).all():
        raise ProofError(f"log_scale is {log_scale.shape}, expected ({spec.image.channels},)")
    for value in log_scale.tolist():
        margin = likelihood.logistic_margin(value)
        if not margin > 1:  # NaN too
            raise ProofError(f"log_scale {value} is not certified: margin {margin:.3f}")


def _prove(name: str, function: Function, value: _Value, result: tuple[int, ...]) -> None:
    multiplications = 0
    for place, operation in enumerate(function):
        try:
            weights = operation.weight.size if isinstance(operation, _LAYERS) else 0
            _require(weights <= MAX_WEIGHTS, f"{weights:,} weights, at most {MAX_WEIGHTS:,}")
            value = _step(operation, value)
            multiplications += _multiplications(operation, value)
            _require(multiplications <= MAX_MULTIPLICATIONS, "the function takes too long")
        except (TypeError, ValueError, OverflowError) as error:  # from fields of another type, too
            raise ProofError(f"{name}.{place} ({operation.kind}): {error}") from error
    if value.shape != result or value.remembered is not None:
        raise ProofError(f"{name} gives {value.shape}, the spec asks for {result}")
    if value.kind != "real":
        raise ProofError(f"{name} ends in {value.kind}, expected the sums of a layer")


def _step(operation: Operation, value: _Value) -> _Value:  # noqa: PLR0911 - one case an operation
    match operation:
        case LatentDense():
            return _latent_dense(operation, value)
        case Dense() | Convolution() | Deconvolution():
            return _layer(operation, value)
        case Affine():
            return _affine(operation, value)
        case ReluLevels(highest=highest):
            _check_highest(highest)
            bounds = np.full(value.shape[0], highest, np.int64)
            return replace(value, kind="levels", bounds=bounds, largest=0.0)
        case SiluLevels():
            return _silu(operation, value)
        case Reshape(shape=shape):
            return _reshape(shape, value)
        case Fork():
            _require(value.remembered is None, "a fork within a fork")
            return replace(value, remembered=value)
        case Join():
            return _join(value)
        case FlowMap():
            raise TypeError("a flow is proved by the nets of its couplings")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_highest(highest: int) -> None:
    _require(0 < highest < EXACT, f"highest level {highest} is out of range")


def _check_exponents(exponent: NDArray[np.int32], channels: int) -> None:
    _require(exponent.shape == (channels,), f"{exponent.shape} exponents for {channels} channels")
    most = int(np.abs(exponent).max(initial=0))
    _require(most <= LARGEST_EXPONENT, f"exponent {most} is out of range")


def _latent_dense(layer: LatentDense, value: _Value) -> _Value:
    _require(value.kind == "latents", f"needs latents, got {value.kind}")
    _require(layer.weight.ndim == 2, f"weight is {layer.weight.shape}")
    channels = len(layer.weight)
    _require(layer.weight.shape == (channels, *value.shape), f"weight is {layer.weight.shape}")
    _require(layer.bias.shape == (channels,), f"bias is {layer.bias.shape}")
    _check_exponents(layer.exponent, channels)
    largest = LATENT_LIMIT * 2**LATENT_EXPONENT
    # A row sum stays below 2^63; its product with `largest` may not, and is computed by Python.
    rows, bias = _magnitude(layer.weight).sum(axis=1), _magnitude(layer.bias)
    sums = [row * largest + b for row, b in zip(rows.tolist(), bias.tolist(), strict=True)]
    _require(max(sums) < EXACT_64, f"a sum can reach {max(sums)}, the limit is 2^53")
    reach = np.ldexp(np.array(sums, np.float64), -layer.exponent).max()
    return _Value((channels,), "real", largest=min(float(reach), 2.0**22))


def _layer(layer: Dense | Convolution | Deconvolution, value: _Value) -> _Value:
    _require(value.kind == "levels", f"needs integers, got {value.kind}")
    bounds = cast(Bounds, value.bounds)
    weight = _magnitude(layer.weight)
    if isinstance(layer, Deconvolution):
        weight = weight.swapaxes(0, 1)
    channels, inputs = weight.shape[:2]
    _require(layer.bias.shape == (channels,), f"bias is {layer.bias.shape}")
    _check_exponents(layer.exponent, channels)
    shape = _shape_of(layer, weight.shape, value.shape)
    if isinstance(layer, Dense):
        bounds = np.repeat(bounds, inputs // len(bounds))
    largest = weight * bounds.reshape(1, -1, *[1] * (weight.ndim - 2))
    sums = _sums(layer, largest) + _magnitude(layer.bias)
    _require(int(sums.max()) < EXACT, f"a sum can reach {int(sums.max())}, the limit is 2^24")
    largest_value = float(np.ldexp(sums.astype(np.float64), -layer.exponent).max())
    return _Value(shape, "real", largest=largest_value, remembered=value.remembered)


def _join(value: _Value) -> _Value:
    other = value.remembered
    _require(other is not None, "a join without a fork")
    other = cast(_Value, other)
    _require(other.shape == value.shape, f"the branches are {other.shape} and {value.shape}")
    _require({other.kind, value.kind} == {"real"}, "both branches must be sums of layers")
    return replace(value, largest=value.largest + other.largest, remembered=None)


def _shape_of(
    layer: Dense | Convolution | Deconvolution, weight: Sequence[int], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of the result; `weight` is (out, in, ...) for every kind of layer."""
    if isinstance(layer, Dense):
        _require(len(weight) == 2 and len(shape) == 1, f"weight is {weight}, input {shape}")
        _require(weight[1] == shape[0], f"weight takes {weight[1]} inputs, got {shape[0]}")
        return (weight[0],)
    _require(len(weight) == 4 and len(shape) == 3, f"weight is {weight}, input {shape}")
    _require(weight[1] == shape[0], f"weight takes {weight[1]} channels, got {shape[0]}")
    _require(layer.stride >= 1 and layer.padding >= 0, "stride or padding is out of range")
    sides = []
    for axis, (side, kernel) in enumerate(zip(shape[1:], weight[2:], strict=True)):
        if isinstance(layer, Convolution):
            new = (side + 2 * layer.padding - kernel) // layer.stride + 1
        else:
            extra = layer.output_padding[axis]
            _require(0 <= extra < layer.stride, f"output padding {extra} is out of range")
            new = (side - 1) * layer.stride - 2 * layer.padding + kernel + extra
        _require(new >= 1, f"side {side} leaves nothing")
        sides.append(new)
    values = math.prod((weight[0], *sides))
    _require(values <= MAX_VALUES, f"{values} values are too many, the limit is {MAX_VALUES}")
    return (weight[0], *sides)


def _multiplications(operation: Operation, value: _Value) -> int:
    """Return an upper bound of the multiplications of an operation whose result is `value`."""
    match operation:
        case Dense() | LatentDense():
            return operation.weight.size
        case Convolution() | Deconvolution():
            return operation.weight.size * math.prod(value.shape[1:])
        case _:
            return math.prod(value.shape)


def _sums(layer: Dense | Convolution | Deconvolution, largest: NDArray[np.int64]) -> Bounds:
    """Return the bound of the sum in each output channel; (out, in, ...) -> (out,).

    An output pixel of a transposed convolution adds the taps of one phase only (row and column
    modulo the stride), so the bound is that of the largest phase.
    """
    if not isinstance(layer, Deconvolution):
        return np.asarray(largest.reshape(len(largest), -1).sum(axis=1))
    phases = [
        largest[:, :, i :: layer.stride, j :: layer.stride].sum(axis=(1, 2, 3))
        for i in range(layer.stride)
        for j in range(layer.stride)
    ]
    return np.asarray(np.max(phases, axis=0))


def _affine(layer: Affine, value: _Value) -> _Value:
    channels = value.shape[0]
    _require(layer.scale.shape == (channels,), f"scale is {layer.scale.shape}")
    _require(layer.bias.shape == (channels,), f"bias is {layer.bias.shape}")
    _check_exponents(layer.exponent, channels)
    _check_highest(layer.limit)
    sums = _magnitude(layer.scale) * layer.limit + _magnitude(layer.bias)
    _require(int(sums.max()) < EXACT, f"a sum can reach {int(sums.max())}, the limit is 2^24")
    largest = float(np.ldexp(sums.astype(np.float64), -layer.exponent).max())
    return replace(value, kind="real", bounds=None, largest=largest)


def _silu(layer: SiluLevels, value: _Value) -> _Value:
    channels = value.shape[0]
    _require(layer.scale.shape == (channels,), f"scale is {layer.scale.shape}")
    _require(bool((layer.scale > 0).all()), "a scale is not positive")
    _require(0 <= layer.exponent <= 12, f"exponent {layer.exponent} is out of range")
    _check_highest(layer.highest)
    tail = value.largest * 2.0**-layer.exponent * float(layer.scale.max()) * certificate.TAIL_ERROR
    _require(tail < 0.5, f"the input can reach {value.largest}, too far for the scale")
    scales = np.unique(layer.scale)
    points = certificate.points(float(scales.min()), layer.exponent, layer.highest)
    _require(
        points <= MAX_POINTS and points * len(scales) <= MAX_CHECKS,
        f"{len(scales)} scales of at least {scales.min()} take too long to check",
    )
    for scale in scales:
        margin = certificate.margin(float(scale), layer.exponent, layer.highest)
        _require(margin > 1, f"scale {scale} is not certified: margin {margin:.3f}")
    bounds = certificate.level_bounds(layer.scale, layer.highest)
    return replace(value, kind="levels", bounds=bounds, largest=0.0)


def _reshape(shape: tuple[int, ...], value: _Value) -> _Value:
    """Return the reshaped value; a new channel's bound is the largest of its elements' bounds."""
    _require(value.remembered is None, "a reshape within a fork")
    size = int(np.prod(value.shape))
    _require(int(np.prod(shape)) == size and min(shape) > 0, f"{value.shape} cannot be {shape}")
    bounds = value.bounds
    if bounds is not None:
        bounds = np.repeat(bounds, size // len(bounds)).reshape(shape[0], -1).max(axis=1)
    return replace(value, shape=shape, bounds=bounds)


def _magnitude(array: NDArray[np.int16] | NDArray[np.int32] | NDArray[np.int64]) -> Bounds:
    return np.abs(array.astype(np.int64))
