"""How badly a version reconstructs an image, beside how badly it reconstructs its test images.

An image that is not like the data that a model learnt comes back as something that is. The error of
the reconstruction shows it. `typical_errors.json` holds the errors of the test images of shipped
versions by the SHA-256 of their weights; `make typical-errors` measures them again.
"""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]

FILE = Path(__file__).with_suffix(".json")


class TypicalErrors(NamedTuple):
    """Quantiles of the errors of a version's test images."""

    images: int
    median: float
    limit: float
    """99 percent of the test images have a smaller error; a larger one is unusual."""
    largest: float


def reconstruction_errors(x: Bytes, reconstructions: Bytes) -> Doubles:
    """Return |x - r|^2 / |x| of each image x and its reconstruction r, for pixels in [0, 1].

    Both are (images, channels, height, width) in 0..255. Sums are of integers. Among the measures
    that were tried, this one finds most images of other kinds with one limit for dark and light
    images (docs/decisions/0067-warn-of-unusual-uploads.md).
    """
    axes = (1, 2, 3)
    seen = x.astype(np.int64)
    squares = ((seen - reconstructions) ** 2).sum(axis=axes)
    lengths = np.sqrt(np.maximum((seen**2).sum(axis=axes), 1))
    return np.asarray(squares / (255 * lengths), np.float64)


def typical_errors(weights_sha256: str) -> TypicalErrors | None:
    """Return the errors of a version's test images, or None if they were not measured."""
    return _all().get(weights_sha256)


@cache
def _all() -> Mapping[str, TypicalErrors]:
    entries = json.loads(FILE.read_bytes())
    names = TypicalErrors._fields
    return {key: TypicalErrors(*(entry[name] for name in names)) for key, entry in entries.items()}
