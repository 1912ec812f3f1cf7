"""Array types that several packages of the service share."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
