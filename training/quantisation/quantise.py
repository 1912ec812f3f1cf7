"""Quantise a VAE after training: no weight is trained again.

The float network and the exact one run side by side on calibration images. Each activation gets the
number of levels that gives the next layer the least error. Each layer gets the finest integers whose
sums stay exact, and a bias that cancels the mean error of quantisation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_store.arithmetic.certificate import level_bounds, nearest_certified_scale
from model_store.arithmetic.executors.torch_executor import TorchExecutor
from model_store.arithmetic.likelihood import logistic_margin
from model_store.arithmetic.program import (
    LATENT_LIMIT,
    SIGMOID_EXPONENT,
    Affine,
    Coupling,
    ExactNetwork,
    Floats,
    Fork,
    Function,
    Join,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)
from model_store.arithmetic.proof import ProofError, prove
from model_store.spec import Package
from model_store.vae import VAE
from model_store.vae.compiled import fold_batch_norm
from model_store.vae.flow import Coupling as FloatCoupling
from model_store.vae.networks import ResidualBlock
from training.errors import NoExactFormError
from training.quantisation.layers import (
    Doubles,
    Layer,
    integer_latent_layer,
    integer_layer,
    layer_bias,
)

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
SILU_EXPONENT = 7
"""Inputs of SiLU are rounded to multiples of 2^-7."""
LEVELS = (127, 255, 511, 1023, 2047, 4095)
"""Highest levels that are tried for an activation."""
RANGE_MARGIN = 1.5
"""Ratio of the range of levels to the largest activation on calibration images."""
LEAST_RANGE = 1 / 16
"""Smallest range of a channel, as a fraction of the layer's largest range."""
DEAD_RANGE = 1.0
"""Largest range that is assumed for a layer whose units are 0 for all calibration images."""
LEAST_SILU_RANGE = 0.3
"""Smallest range of a channel behind SiLU."""
SCALES_PER_OCTAVE = 8
"""Scales of SiLU are rounded to eighths of an octave, so that channels share certified ones."""
JUDGED = 192
"""Number of calibration rows, approximately, on which the number of levels is chosen."""
GREATEST_SCALE = 400.0
"""Largest scale of SiLU that is tried; hardly any larger one can be certified."""


@dataclass(frozen=True)
class _Levels:
    """Real size of one unit and largest integer of each channel, both (channels,)."""

    step: Doubles
    bounds: Doubles


@dataclass
class _State:
    """Activations at one place of the network, float and exact; both (batch, ...).

    If `levels` is None, the exact activations are real values, in multiples of `unit`.
    """

    floats: Tensor
    exact: Tensor
    levels: _Levels | None = None
    unit: float = 1.0
    latents: bool = False


def quantise(vae: VAE, images: Tensor) -> ExactNetwork:
    """Return the exact network of a VAE on the CPU.

    `images` are training images (batch, channels, height, width) in [0, 1], multiples of 1/255.
    Raises NoExactFormError.
    """
    if not all(weight.isfinite().all() for weight in vae.state_dict().values()):
        raise NoExactFormError("a weight is NaN or infinite")
    if isinstance(vae.spec.network, Package):
        raise NoExactFormError(f"it is the network {vae.spec.network.name} of a package")
    network = _quantise(vae.eval(), images)
    try:
        prove(network, vae.spec)
    except ProofError as error:
        raise NoExactFormError(str(error)) from error
    return network


def _quantise(vae: VAE, images: Tensor) -> ExactNetwork:
    with torch.inference_mode():
        mu, logvar = vae.posterior(images)
        generator = torch.Generator().manual_seed(0)
        eps = torch.randn(mu.shape, generator=generator)
        z = mu + torch.exp(0.5 * logvar) * eps
        flow = _quantise_flow(vae, z)
        drawn = torch.randn(mu.shape, generator=generator)
        prior = drawn if vae.flow is None else vae.flow.inverse(drawn)
        latents = torch.cat([z, prior])
        return ExactNetwork(_encode(vae, images), _decode(vae, latents), flow, _log_scale(vae))


def _encode(vae: VAE, images: Tensor) -> Function:
    grey = (images * 255).round()
    channels = images.shape[1]
    levels = _Levels(np.full(channels, 1 / 255), np.full(channels, 255.0))
    heads = _joined(vae.to_mu, vae.to_logvar)
    modules = [*_modules(vae.encoder), heads]
    return _build(modules, _State(images, grey, levels), final_unit=1.0)


def _decode(vae: VAE, latents: Tensor) -> Function:
    state = _State(latents, latents, latents=True)
    return _build(_modules(vae.decoder), state, final_unit=2.0**-SIGMOID_EXPONENT)


def _quantise_flow(vae: VAE, z: Tensor) -> tuple[Coupling, ...]:
    if vae.flow is None:
        return ()
    couplings, value = [], z
    for i, module in enumerate(vae.flow.couplings):
        coupling = cast(FloatCoupling, module)
        kept = value[:, coupling.kept].clamp(-LATENT_LIMIT, LATENT_LIMIT)
        state = _State(kept, kept, latents=True)
        net = _build(_modules(coupling.net), state, final_unit=1.0)
        couplings.append(Coupling(i % 2, net))  # type: ignore[arg-type] # 0 or 1
        value, _ = coupling(value)
    return tuple(couplings)


def _log_scale(vae: VAE) -> Floats | None:
    """Return the largest certified log scales up to the learned ones; None without log scales."""
    if vae.spec.likelihood != "discretised_logistic":
        return None
    log_scale = np.array(vae.log_scale.detach().flatten().numpy(), np.float32)
    for channel in range(len(log_scale)):
        while logistic_margin(float(log_scale[channel])) <= 1:
            log_scale[channel] = np.nextafter(log_scale[channel], np.float32(-np.inf))
    return log_scale


def _joined(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """Return one layer whose outputs are those of `first`, then those of `second`."""
    joined = nn.Linear(first.in_features, first.out_features + second.out_features)
    joined.weight = nn.Parameter(torch.cat([first.weight, second.weight]), requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([first.bias, second.bias]), requires_grad=False)
    return joined


def _modules(network: nn.Module) -> list[nn.Module]:
    return fold_batch_norm(list(cast(nn.Sequential, network)))


# --- the walk ------------------------------------------------------------------------------------


def _build(modules: Sequence[nn.Module], state: _State, final_unit: float) -> Function:
    """Quantise modules one after the other; the last layer's results are in `final_unit`."""
    program: list[Operation] = []
    place = 0
    while place < len(modules):
        place += _quantise_next(list(modules[place:]), state, final_unit, program)
    return tuple(program)


def _quantise_next(
    modules: list[nn.Module], state: _State, final_unit: float, program: list[Operation]
) -> int:
    """Quantise the first module and those that it is merged with; return their number."""
    match modules[0]:
        case nn.Linear() | nn.Conv2d() | nn.ConvTranspose2d():
            return _layer(modules, state, final_unit, program)
        case nn.SiLU():
            _silu(modules, state, program)
        case nn.BatchNorm2d() as norm:
            _affine(norm, state, program)
        case nn.Flatten():
            _reshape(state, program, (int(np.prod(state.floats.shape[1:])),))
        case nn.Unflatten() as unflatten:
            _reshape(state, program, tuple(unflatten.unflattened_size))
        case ResidualBlock() as block:
            _residual(block, state, program)
        case other:
            raise NoExactFormError(f"{type(other).__name__} has no exact form")
    return 1


def _append(program: list[Operation], state: _State, operation: Operation) -> None:
    program.append(operation)
    state.exact = TorchExecutor((operation,)).forward(state.exact)


def _layer(
    modules: list[nn.Module], state: _State, final_unit: float, program: list[Operation]
) -> int:
    """Quantise a layer and, if one follows, its ReLU; reshapes may stand between them."""
    layer = cast(Layer, modules[0])
    reshapes = 0
    while isinstance(_at(modules, 1 + reshapes), nn.Unflatten | nn.Flatten):
        reshapes += 1
    has_relu = isinstance(_at(modules, 1 + reshapes), nn.ReLU)
    floats = layer(state.floats)
    channels = floats.shape[1]
    if not has_relu:
        last = _next_activation(modules[1:]) is None
        unit = np.full(channels, final_unit if last else 2.0**-SILU_EXPONENT)
        _append_layer(layer, floats, unit, state, program)
        state.unit = float(unit[0])
        return 1
    activations = floats
    for module in modules[1 : 1 + reshapes]:
        activations = module(activations)
    activations = F.relu(activations)
    ranges = _ranges(activations) * RANGE_MARGIN
    ranges = np.maximum(ranges, (ranges.max() or DEAD_RANGE) * LEAST_RANGE)
    highest = _best_highest(activations, ranges, modules[2 + reshapes :])
    step = ranges / highest
    unit = np.repeat(step, channels // len(step))
    _append_layer(layer, floats, unit, state, program)
    for module in modules[1 : 1 + reshapes]:
        _quantise_next([module], state, final_unit, program)
    _append(program, state, ReluLevels(highest))
    state.floats = activations
    state.levels = _Levels(step, np.full(len(step), float(highest)))
    return 2 + reshapes


def _append_layer(
    layer: Layer, floats: Tensor, unit: Doubles, state: _State, program: list[Operation]
) -> None:
    """Append a layer with a corrected bias; its results are in multiples of `unit` (out,)."""
    if state.latents:
        _append(program, state, integer_latent_layer(cast(nn.Linear, layer), unit))
    else:
        levels = cast(_Levels, state.levels)
        draft = integer_layer(layer, levels.step, levels.bounds, unit)
        result = TorchExecutor((draft,)).forward(state.exact)
        size = torch.from_numpy(unit).view(-1, *[1] * (floats.dim() - 2))
        others = [0, *range(2, floats.dim())]
        drift = (floats.double() - result.double() * size).mean(others).numpy()
        bias = layer_bias(layer) + drift
        _append(program, state, integer_layer(layer, levels.step, levels.bounds, unit, bias))
    state.floats, state.levels, state.latents = floats, None, False


def _silu(modules: list[nn.Module], state: _State, program: list[Operation]) -> None:
    activations = F.silu(state.floats)
    ranges = np.maximum(_ranges(activations) * RANGE_MARGIN, LEAST_SILU_RANGE)
    highest = _best_highest(activations, ranges, modules[1:])
    scales = {}
    scale = np.empty(len(ranges), np.float32)
    for channel, reach in enumerate(ranges):
        wished = min(highest / float(reach), GREATEST_SCALE)
        octave = math.floor(math.log2(wished) * SCALES_PER_OCTAVE) / SCALES_PER_OCTAVE
        if octave not in scales:
            scales[octave] = _certified_scale(2.0**octave, highest)
        scale[channel] = scales[octave]
    _append(program, state, SiluLevels(scale, highest, SILU_EXPONENT))
    bounds = level_bounds(scale, highest).astype(np.float64)
    state.floats, state.levels = activations, _Levels(1 / scale.astype(np.float64), bounds)


def _certified_scale(scale: float, highest: int) -> np.float32:
    try:
        return nearest_certified_scale(scale, SILU_EXPONENT, highest)
    except ValueError as error:
        raise NoExactFormError(str(error)) from error


def _affine(norm: nn.BatchNorm2d, state: _State, program: list[Operation]) -> None:
    """Quantise a batch norm of real values; its output has the unit of its input."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    factor = (norm.weight * torch.rsqrt(variance + norm.eps)).detach().double().numpy()
    shift = norm.bias.detach().double().numpy() - mean.double().numpy() * factor
    reach = float(state.exact.abs().max()) * RANGE_MARGIN
    limit = 2 ** math.ceil(math.log2(max(reach, 2.0)))
    exponent = np.full(len(factor), 30.0)
    offset = shift / state.unit
    while True:
        scale, bias = np.rint(factor * 2**exponent), np.rint(offset * 2**exponent)
        bad = (np.abs(scale) * limit + np.abs(bias) >= 2.0**24) | (np.abs(scale) > 2**15 - 1)
        if not bad.any():
            break
        exponent[bad] -= 1
    whole = exponent.astype(np.int32)
    operation = Affine(scale.astype(np.int16), bias.astype(np.int32), whole, limit)
    _append(program, state, operation)
    state.floats = norm(state.floats)


def _residual(block: ResidualBlock, state: _State, program: list[Operation]) -> None:
    change = fold_batch_norm(list(block.change))
    branch = replace(state)
    program.append(Fork())
    program += _build(change, branch, state.unit)
    program.append(Join())
    state.floats = block(state.floats)
    state.exact = torch.add(state.exact, branch.exact)


def _reshape(state: _State, program: list[Operation], shape: tuple[int, ...]) -> None:
    if state.levels is not None:
        times = int(np.prod(shape)) // len(state.levels.step)
        if len(shape) == 1:
            levels = (np.repeat(v, times) for v in (state.levels.step, state.levels.bounds))
            state.levels = _Levels(*levels)
    state.floats = state.floats.reshape(-1, *shape)
    _append(program, state, Reshape(shape))


# --- choices -------------------------------------------------------------------------------------


def _best_highest(activations: Tensor, ranges: Doubles, following: list[nn.Module]) -> int:
    """Return the highest level for which the next exact layer has the least squared error."""
    layer = next(m for m in following if isinstance(m, LAYERS))
    rows = activations[:: max(1, len(activations) // JUDGED)]
    if isinstance(layer, nn.Linear):
        ranges = np.repeat(ranges, rows[0].numel() // len(ranges))
        rows = rows.flatten(1)
    reference = layer(rows)
    unit = np.ones(reference.shape[1])
    errors = []
    for highest in LEVELS:
        step = ranges / highest
        size = torch.from_numpy(step).float().view(-1, *[1] * (rows.dim() - 2))
        levels = (rows / size).round().clamp(max=highest)
        operation = integer_layer(layer, step, np.full(len(step), float(highest)), unit)
        result = TorchExecutor((operation,)).forward(levels)
        errors.append((float((result - reference).square().mean()), highest))
    return min(errors)[1]


def _ranges(activations: Tensor) -> Doubles:
    """Return the largest activation of each channel; (channels,)."""
    others = [0, *range(2, activations.dim())]
    return np.asarray(activations.amax(others).double().numpy(), np.float64)


def _at(modules: list[nn.Module], place: int) -> nn.Module | None:
    return modules[place] if place < len(modules) else None


def _next_activation(modules: list[nn.Module]) -> nn.Module | None:
    """Return the first module that is not a reshape, if there is one."""
    return next((m for m in modules if not isinstance(m, nn.Unflatten | nn.Flatten)), None)
