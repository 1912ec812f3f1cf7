"""Encode arrays as an npz file."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.imaging.zip import ZipWriter


def encode_npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode arrays for numpy.load(allow_pickle=False).

    Raises ValueError for arrays of objects.
    """
    # numpy.savez writes ZIP64 fields into every entry and takes 2.3 to 2.7 times as long: 50 us
    # instead of 22 us for 16 images of 28x28 with their latents, 93 us instead of 35 us for 256.
    archive = ZipWriter()
    parts = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
        parts.append(archive.add(f"{name}.npy", file.getvalue()))
    return b"".join([*parts, archive.close()])
