"""16-bit number formats: networks may compute in them, sums must not."""

import torch
from torch import Tensor


def to_float32(values: Tensor) -> Tensor:
    """Widen float16 and bfloat16 to float32; return other tensors unchanged."""
    return values.float() if values.dtype in {torch.float16, torch.bfloat16} else values
