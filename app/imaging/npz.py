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
    archive = ZipWriter()
    parts = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.lib.format.write_array(file, np.asarray(array, order="C"), allow_pickle=False)
        parts.append(archive.add(f"{name}.npy", file.getvalue()))
    return b"".join([*parts, archive.close()])
