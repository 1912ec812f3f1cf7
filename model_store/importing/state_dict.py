"""Take the tensors of a state_dict one by one, and notice those that are left."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from model_store.graphs.graph import Array

Doubles = NDArray[np.float64]

_WRAPPERS = ("model.", "module.", "_orig_mod.")
"""Names that Lightning, DistributedDataParallel and torch.compile put before those of a network."""
_BATCH_NORM_EPSILON = 1e-5
"""torch's default."""


class StateDict:
    """The tensors of a network of PyTorch; every method raises ValueError if they are not as expected."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._left = dict(tensors)
        while prefix := next((w for w in _WRAPPERS if self._all_begin_with(w)), ""):
            self._left = {name.removeprefix(prefix): a for name, a in self._left.items()}

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, *shape: int | None) -> Doubles:
        """Return a tensor of this shape, of which None leaves an axis open."""
        if name not in self._left:
            listed = ", ".join(sorted(self._left)[:10])[:400]
            raise ValueError(f"tensor {name} is missing; the file has {listed}")
        array = self._left.pop(name)
        fits = array.ndim == len(shape) and all(
            side in {None, actual} for side, actual in zip(shape, array.shape, strict=True)
        )
        if not fits or 0 in array.shape:
            expected = ", ".join("?" if side is None else str(side) for side in shape)
            raise ValueError(f"tensor {name} has the shape {array.shape}, expected ({expected})")
        return array.astype(np.float64)

    def take_linear(self, name: str, inputs: int | None = None) -> tuple[Doubles, Doubles]:
        """Return weight (outputs, inputs) and bias of a linear layer."""
        weight = self.take(f"{name}.weight", None, inputs)
        return weight, self.take(f"{name}.bias", len(weight))

    def take_convolution(
        self, name: str, inputs: int | None, kernel: int, *, transposed: bool = False
    ) -> tuple[Doubles, Doubles]:
        """Return weight, (inputs, outputs, kernel, kernel) if transposed, else outputs first, and bias."""
        shape = (inputs, None) if transposed else (None, inputs)
        weight = self.take(f"{name}.weight", *shape, kernel, kernel)
        return weight, self.take(f"{name}.bias", weight.shape[int(transposed)])

    def take_batch_norm(self, name: str, channels: int) -> tuple[Doubles, Doubles]:
        """Return scale and shift (channels,) of a batch norm in evaluation mode."""
        gamma, beta, mean, variance = (
            self.take(f"{name}.{part}", channels)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self._left.pop(f"{name}.num_batches_tracked", None)
        if not (variance >= 0).all():
            raise ValueError(f"tensor {name}.running_var has values below 0, or NaN")
        scale = gamma / np.sqrt(variance + _BATCH_NORM_EPSILON)
        return scale, beta - mean * scale

    def check_that_all_were_taken(self) -> None:
        """Raise ValueError if a tensor is left."""
        if self._left:
            raise ValueError(f"tensor {min(self._left)[:80]} is not part of the layout")

    def _all_begin_with(self, prefix: str) -> bool:
        return bool(self._left) and all(name.startswith(prefix) for name in self._left)
