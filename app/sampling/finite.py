"""Refuse results that float32 cannot hold."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import NotFiniteError

_LARGEST = float(np.finfo(np.float32).max)


def check_float32(values: NDArray[Any], name: str) -> None:
    """Raise NotFiniteError if a value is NaN or beyond float32; `name` says what they are."""
    if not (np.abs(values) <= _LARGEST).all():
        raise NotFiniteError(f"{name} is beyond the range of float32")
