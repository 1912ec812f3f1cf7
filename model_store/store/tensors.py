"""Convert weights between safetensors files, numpy arrays and the tensors of other libraries.

numpy has no bfloat16, which is the upper half of a float32: such tensors are widened, without loss.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

Array = NDArray[np.generic]

_BFLOAT16 = "BF16"
_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""Names of types in a safetensors header -> numpy types."""


class TorchTensor(Protocol):
    """The part of `torch.Tensor` that the store needs, so that it need not import torch."""

    dtype: Any

    def detach(self) -> Any:
        """Return the tensor without its history of operations."""


Weights = Mapping[str, Array | TorchTensor]


def parse_safetensors(content: bytes) -> dict[str, Array]:
    """Read all tensors of a safetensors file; raises ValueError if it cannot be read."""
    try:
        entries = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return {name: _array(name, **entry) for name, entry in entries}


def to_safetensors(arrays: Mapping[str, Array]) -> bytes:
    """Return the content of a safetensors file."""
    return safetensors.numpy.save(
        {name: np.asarray(array, order="C") for name, array in arrays.items()}
    )


def to_arrays(weights: Weights) -> dict[str, Array]:
    """Convert weights, numpy arrays or torch tensors on any device, to numpy arrays."""
    return {
        name: weight if isinstance(weight, np.ndarray) else _from_torch(weight)
        for name, weight in weights.items()
    }


def _array(name: str, dtype: str, shape: list[int], data: bytearray) -> Array:
    if dtype == _BFLOAT16:
        bits = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return bits.view(np.float32).reshape(shape)
    if dtype not in _DTYPES:
        raise ValueError(f"tensor {name} is of type {dtype}, which is not supported")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)


def _from_torch(tensor: TorchTensor) -> Array:
    on_cpu = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        on_cpu = on_cpu.float()
    array: Array = on_cpu.numpy()
    return array
