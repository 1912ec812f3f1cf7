"""The functions by torch, on a GPU or a CPU.

TF32, reduced precision and Winograd would make sums inexact. Importing this module switches them off
for the whole process.
"""

from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model_store.arithmetic.executors.scaling import ROUNDED_LIMIT, scaled_affine, scaled_layer
from model_store.arithmetic.factors import LARGEST_LEVEL, RAW_EXPONENT, factors
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

torch.backends.cudnn.allow_tf32 = False
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.nnpack.set_flags(False)  # type: ignore[no-untyped-call] # its Winograd rounds


class TorchExecutor(torch.nn.Module):
    """Runs a function with torch on a device; `forward` maps tensors on that device."""

    def __init__(self, function: Function, device: torch.device | str = "cpu") -> None:
        super().__init__()
        self._function = function
        self.device = torch.device(device)
        self._tensors = [
            tuple(torch.from_numpy(array).to(self.device) for array in _prepared(operation))
            for operation in function
        ]
        self._nets = [
            TorchExecutor(coupling.net, device)
            for operation in function
            if isinstance(operation, FlowMap)
            for coupling in operation.couplings
        ]

    @torch.inference_mode()
    def __call__(self, batch: Floats) -> Floats:
        """Copy a batch to the device, run the operations, and return the result in host memory."""
        result = self.forward(torch.from_numpy(batch).to(self.device))
        return cast(Floats, result.cpu().numpy())

    def forward(self, batch: Tensor) -> Tensor:
        """Run the operations on a float32 tensor on the device."""
        value = batch
        remembered: Tensor | None = None
        for operation, tensors in zip(self._function, self._tensors, strict=True):
            if isinstance(operation, Fork):
                remembered = value
            elif isinstance(operation, Join):
                value = torch.add(cast(Tensor, remembered), value)
            elif isinstance(operation, FlowMap):
                value = self._run_flow(operation, tensors[0], batch)
            else:
                value = _run(operation, tensors, value)
        if isinstance(operation, FlowMap):
            return value
        return value + 0.0  # turns -0 into 0

    def _run_flow(self, flow: FlowMap, table: Tensor, batch: Tensor) -> Tensor:
        """Change one half of the dimensions after the other; see `FlowMap` for the result."""
        value, used = batch.clone(), []
        couplings = list(zip(flow.couplings, self._nets, strict=True))
        for coupling, net in reversed(couplings) if flow.inverse else couplings:
            kept, changed = coupling.dimensions(flow.latent)
            raw, shift = net.forward(value[:, kept]).chunk(2, dim=1)
            levels = (raw * 2.0**RAW_EXPONENT).round().clamp(-LARGEST_LEVEL, LARGEST_LEVEL).long()
            if flow.inverse:
                value[:, changed] = (value[:, changed] - shift) * table[LARGEST_LEVEL - levels]
            else:
                used.append(table[LARGEST_LEVEL + levels])
                value[:, changed] = value[:, changed] * used[-1] + shift
        return torch.cat([value, *used], dim=1)


def _prepared(operation: Operation) -> tuple[np.ndarray[Any, Any], ...]:
    match operation:
        case LatentDense():
            return scaled_layer(operation, np.float64)
        case Dense() | Convolution() | Deconvolution():
            return scaled_layer(operation, np.float32)
        case Affine():
            return scaled_affine(operation)
        case SiluLevels():
            return (operation.scale * np.float32(2.0**-operation.exponent),)
        case FlowMap():
            return (factors(),)
        case _:
            return ()


def _run(  # noqa: PLR0911 - one case an operation
    operation: Operation, tensors: tuple[Tensor, ...], value: Tensor
) -> Tensor:
    match operation:
        case LatentDense():
            z = value.clamp(-LATENT_LIMIT, LATENT_LIMIT).double()
            sums = F.linear((z * 2.0**LATENT_EXPONENT).round(), *tensors)
            return sums.round().clamp(-ROUNDED_LIMIT, ROUNDED_LIMIT).float()
        case Dense():
            return F.linear(value, *tensors)
        case Convolution(stride=stride, padding=padding):
            return F.conv2d(value, tensors[0], tensors[1], stride, padding)
        case Deconvolution(stride=stride, padding=padding, output_padding=output_padding):
            return F.conv_transpose2d(
                value, tensors[0], tensors[1], stride, padding, output_padding
            )
        case Affine(limit=limit):
            levels = value.round().clamp(-limit, limit)
            return levels * _channels(tensors[0], value) + _channels(tensors[1], value)
        case ReluLevels(highest=highest):
            return value.clamp(0, highest).round()
        case SiluLevels(highest=highest, exponent=exponent):
            levels = value.round()
            activated = levels * torch.sigmoid(levels * 2.0**-exponent)
            scaled = activated * _channels(tensors[0], value)
            return scaled.round().clamp(max=highest)
        case Reshape(shape=shape):
            return value.reshape(len(value), *shape)
        case _:
            raise TypeError(f"{operation.kind} is handled by the caller")


def _channels(tensor: Tensor, value: Tensor) -> Tensor:
    """Reshape (channels,) to broadcast over `value` (batch, channels, ...)."""
    return tensor.view(-1, *[1] * (value.dim() - 2))
