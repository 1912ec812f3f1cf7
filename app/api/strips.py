"""Strips: the images of /traverse, one row for each dimension or direction of the latent space."""

from dataclasses import dataclass

import numpy as np

from app.api.provenance import latent_parameters
from app.api.result import FileEntry, Grid, ImageFiles, Result
from app.typing import Bytes, Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Strips(Result):
    """Images around one latent, ordered by row and then by value."""

    start: Floats
    """The latent that is changed; (latent,)."""
    values: Floats
    """The values of every row; (steps,)."""
    z: Floats
    """The latent of each image; (rows * steps, latent)."""

    def entry(self, row: int, value: np.float32) -> dict[str, object]:
        """Return the columns that describe the image of a row and a value in manifest.csv."""
        raise NotImplementedError

    def grid(self) -> Grid:
        """Return one row of images for each dimension or direction."""
        return Grid(self.images, len(self.values))

    def files(self) -> ImageFiles:
        """Return each image as a file, named by its row and its step."""
        entries = []
        for i, z in enumerate(self.z):
            row, step = divmod(i, len(self.values))
            fields = self.entry(row, self.values[step])
            parameters = latent_parameters(self.model, z)
            entries.append(FileEntry(f"{row:03d}-{step:03d}.png", fields, z, parameters))
        return ImageFiles(self.images, entries)

    def rows(self) -> Bytes:
        """Return the images; (rows, steps, channels, height, width) in 0..255."""
        return self.images.reshape(-1, len(self.values), *self.images.shape[1:])
