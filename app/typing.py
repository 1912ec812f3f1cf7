"""Array types."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Upload:
    """An uploaded file, and its name in error messages."""

    name: str
    content: bytes = field(repr=False)
