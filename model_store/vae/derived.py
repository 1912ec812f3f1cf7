"""Float weights derived from an exact network: the same function, without its rounding.

A version that ships without float weights can still be trained further, or run by another library.
Activations of ReLU stay in units of levels, which ReLU does not notice; batch norms that quantisation
folded into a layer become the identity.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    SIGMOID_EXPONENT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    ExactNetwork,
    Function,
    Join,
    LatentDense,
    Operation,
    ReluLevels,
    SiluLevels,
)
from model_store.spec import ModelSpec
from model_store.vae.model import VAE
from model_store.vae.networks import ResidualBlock

LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
Layer = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
LayerOperation = LatentDense | Dense | Convolution | Deconvolution
Doubles = NDArray[np.float64]


def derive_vae(network: ExactNetwork, spec: ModelSpec) -> VAE:
    """Return a float VAE, in evaluation mode, that computes nearly what the exact network does."""
    vae = VAE(spec).eval().requires_grad_(False)
    heads = nn.Linear(vae.to_mu.in_features, 2 * spec.latent)
    encoder = [*cast(nn.Sequential, vae.encoder), heads]
    _Walk(network.encode, 255.0, 1.0).fill(encoder)
    for head, rows in ((vae.to_mu, slice(spec.latent)), (vae.to_logvar, slice(spec.latent, None))):
        head.weight.data, head.bias.data = heads.weight[rows].detach(), heads.bias[rows].detach()
    decoder = list(cast(nn.Sequential, vae.decoder))
    _Walk(network.decode, 1.0, 2.0**-SIGMOID_EXPONENT).fill(decoder)
    for i, coupling in enumerate(network.flow):
        assert vae.flow is not None  # noqa: S101 - a proved network fits its spec
        net = cast(nn.Sequential, vae.flow.couplings[i].net)
        _Walk(coupling.net, 1.0, 1.0).fill(list(net))
    if network.log_scale is not None:
        vae.log_scale.data = torch.from_numpy(network.log_scale.reshape(-1, 1, 1).copy())
    return vae


@dataclass
class _Place:
    """An operation, and the operations that follow it."""

    operation: Operation
    following: Sequence[Operation]


class _Walk:
    """Goes through a function and the modules it was made from, and fills their parameters."""

    def __init__(self, function: Function, input_scale: float, final_unit: float) -> None:
        places = [_Place(o, function[i + 1 :]) for i, o in enumerate(function)]
        self._layers: Iterator[_Place] = iter(
            [p for p in places if isinstance(p.operation, LayerOperation)]
        )
        self._silus = iter([o for o in function if isinstance(o, SiluLevels)])
        self._affines = iter([o for o in function if isinstance(o, Affine)])
        exponents = [o.exponent for o in function if isinstance(o, SiluLevels)]
        self._stream_unit = 2.0 ** -exponents[0] if exponents else 1.0
        self._final_unit = final_unit
        self._scale: Doubles = np.array([input_scale])
        """Factor that turns the next layer's float inputs into levels: (channels,) or (1,)."""

    def fill(self, modules: Sequence[nn.Module]) -> None:
        """Fill modules one after the other."""
        for place, module in enumerate(modules):
            before = modules[place - 1] if place else None
            match module:
                case nn.Linear() | nn.Conv2d() | nn.ConvTranspose2d():
                    self._fill_layer(module)
                case nn.BatchNorm2d():
                    folded = isinstance(before, (*LAYERS, nn.Unflatten))
                    self._fill_norm(module, None if folded else next(self._affines))
                case nn.SiLU():
                    self._scale = next(self._silus).scale.astype(np.float64)
                case nn.ReLU():
                    self._scale = np.ones(1)
                case ResidualBlock():
                    self.fill(list(module.change))

    def _fill_layer(self, layer: Layer) -> None:
        place = next(self._layers)
        operation = cast(LayerOperation, place.operation)
        unit = self._unit_of(place.following)
        powers = np.ldexp(1.0, -operation.exponent.astype(np.int64))
        transposed = isinstance(layer, nn.ConvTranspose2d)
        weight = operation.weight.astype(np.float64)
        weight = weight.swapaxes(0, 1) if transposed else weight
        spread = (-1, *[1] * (weight.ndim - 1))
        inputs = np.repeat(self._scale, weight.shape[1] // len(self._scale))
        if isinstance(operation, LatentDense):
            inputs = inputs * 2.0**LATENT_EXPONENT
        weight = weight * (powers * unit).reshape(spread)
        weight = weight * inputs.reshape(1, -1, *[1] * (weight.ndim - 2))
        weight = weight.swapaxes(0, 1) if transposed else weight
        layer.weight.data = torch.from_numpy(np.ascontiguousarray(weight, np.float32))
        bias = operation.bias * powers * unit
        cast(nn.Parameter, layer.bias).data = torch.from_numpy(bias.astype(np.float32))

    def _unit_of(self, following: Sequence[Operation]) -> float:
        """Return the size of one unit of a layer's results, by what reads them."""
        for operation in following:
            if isinstance(operation, ReluLevels):
                return 1.0
            if isinstance(operation, SiluLevels | Affine | Join | LayerOperation):
                return self._stream_unit
        return self._final_unit

    def _fill_norm(self, norm: nn.BatchNorm2d, affine: Affine | None) -> None:
        """Fill a batch norm with an affine map, or with the identity."""
        size = math.sqrt(1 + norm.eps)
        cast(torch.Tensor, norm.running_mean).zero_()
        cast(torch.Tensor, norm.running_var).fill_(1.0)
        scale: Doubles = np.ones(norm.num_features)
        shift: Doubles = np.zeros(norm.num_features)
        if affine is not None:
            powers = np.ldexp(1.0, -affine.exponent.astype(np.int64))
            scale = np.asarray(affine.scale * powers, np.float64)
            shift = np.asarray(affine.bias * powers * self._stream_unit, np.float64)
        norm.weight.data = torch.from_numpy((scale * size).astype(np.float32))
        norm.bias.data = torch.from_numpy(shift.astype(np.float32))
