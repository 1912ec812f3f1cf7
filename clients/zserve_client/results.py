"""What the service answered, as values: pictures, latents, models."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zserve_client import pictures

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

SEEDS = 2**32
"""Seeds are 0..2^32-1 and begin again after the last."""

# --- pictures ----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture as it was sent, and where it came from.

    `model` is `name@version`; `numbers` the JSON answer to the same request, where it was asked
    for; `queue_ms` and `inference_ms` are the service's own times, where it measures them.
    """

    content: bytes = field(repr=False)
    media_type: str
    model: str
    weights_sha256: str = field(repr=False)
    request_id: str | None = field(default=None, repr=False)
    seed: int | None = None
    numbers: Mapping[str, Any] | None = field(default=None, repr=False)
    queue_ms: float | None = field(default=None, repr=False)
    inference_ms: float | None = field(default=None, repr=False)

    @property
    def image(self) -> Image:
        """The whole picture; needs Pillow."""
        return pictures.open_image(self.content)

    @property
    def images(self) -> list[Image]:
        """Its images one by one; needs Pillow."""
        return [self.image]

    @property
    def array(self) -> NDArray[np.uint8]:
        """The same, (n, height, width) or in colour (n, height, width, 3); needs numpy."""
        return pictures.as_array(self.images)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """What the file says about how to get it again; None for a GIF, or without metadata."""
        return pictures.png_parameters(self.content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes as they came."""
        Path(path).write_bytes(self.content)
        return Path(path)

    def _repr_png_(self) -> bytes | None:
        return self.content if self.media_type in {"image/png", "image/apng"} else None

    def _repr_html_(self) -> str | None:
        if self.media_type != "image/gif":
            return None
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.content).decode()}">'


@dataclass(frozen=True, kw_only=True)
class Grid(Picture):
    """n images, left to right and top to bottom."""

    n: int
    columns: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """The images, cut out of the grid; needs Pillow."""
        return pictures.cut(self.image, self.n, self.columns, self.scale)

    @property
    def seeds(self) -> list[int] | None:
        """The seed of each image: alone it gives the same bytes; None where z was given."""
        if self.seed is None:
            return None
        return [(self.seed + i) % SEEDS for i in range(self.n)]


@dataclass(frozen=True, kw_only=True)
class Reconstructions(Picture):
    """Two rows: what the model saw in each upload, and what it made of it."""

    n: int
    scale: int = 1

    @property
    def inputs(self) -> list[Image]:
        """What the model saw; needs Pillow."""
        return self._rows()[: self.n]

    @property
    def images(self) -> list[Image]:
        """The reconstructions; needs Pillow."""
        return self._rows()[self.n :]

    def _rows(self) -> list[Image]:
        return pictures.cut(self.image, 2 * self.n, self.n, self.scale)


@dataclass(frozen=True, kw_only=True)
class Interpolation(Picture):
    """One row: A, the frames from reconstruction to reconstruction, B; or those frames moving."""

    steps: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """The frames; of a GIF or APNG in the order in which it shows them. Needs Pillow."""
        if self.media_type != "image/png":
            return pictures.frames(self.content)
        return self._row()[1:-1]

    @property
    def ends(self) -> list[Image]:
        """A and B as the model saw them, empty for a GIF or APNG; needs Pillow."""
        return [self._row()[0], self._row()[-1]] if self.media_type == "image/png" else []

    def _row(self) -> list[Image]:
        return pictures.cut(self.image, self.steps + 2, self.steps + 2, self.scale)


@dataclass(frozen=True, kw_only=True)
class Traversal(Picture):
    """One row for each latent dimension, the most informative first."""

    steps: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """All images, row by row; needs Pillow."""
        image = self.image
        step = (image.width - pictures.PADDING * self.scale) // self.steps
        rows = len(self.dims) or image.height // step  # without metadata: square images
        return pictures.cut(image, rows * self.steps, self.steps, self.scale)

    @property
    def array(self) -> NDArray[np.uint8]:
        """(dimensions, steps, height, width) or in colour with 3 at the end; needs numpy."""
        flat = pictures.as_array(self.images)
        return flat.reshape(-1, self.steps, *flat.shape[1:])

    @property
    def dims(self) -> list[int]:
        """The dimension of each row; empty where the file was asked for without metadata."""
        return list((self.parameters or {}).get("dims", ()))


# --- files -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file that was fetched whole."""

    path: Path
    model: str
    weights_sha256: str = field(repr=False)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder of images: one folder for each label, and manifest.csv with seed and z of each.

    `fetched` of its `n` images were fetched now; the others were there already.
    """

    folder: Path
    model: str
    seed: int
    labels: Sequence[str | None]
    n: int
    fetched: int


# --- latents -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Where one image lies: q(z | x) = N(mu, sigma^2), logvar = ln sigma^2."""

    mu: Sequence[float]
    logvar: Sequence[float]
    kl_nats: float


@dataclass(frozen=True, kw_only=True)
class Encodings:
    """Where each upload lies in the latent space of a model."""

    model: str
    weights_sha256: str = field(repr=False)
    images: Sequence[Encoding]

    @property
    def mu(self) -> list[list[float]]:
        """A row for each upload; `decode` takes it."""
        return [list(each.mu) for each in self.images]

    @property
    def logvar(self) -> list[list[float]]:
        """A row for each upload: ln sigma^2."""
        return [list(each.logvar) for each in self.images]

    @property
    def array(self) -> NDArray[np.float32]:
        """mu as (n, latent); needs numpy."""
        pictures.need("numpy")
        import numpy as np  # noqa: PLC0415 - an extra

        return np.array(self.mu, np.float32)


# --- models ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number of a model's card."""

    value: float
    unit: str
    protocol: str = ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model and the version that its bare name means."""

    name: str
    version: int
    aliases: Mapping[str, int]
    versions: Sequence[int]
    default: bool
    channels: int
    height: int
    width: int
    latent: int
    dataset: str
    classes: Sequence[str]
    metrics: Mapping[str, Metric]
    weights_sha256: str = field(repr=False)
    created_at: datetime

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One version: its card for people, its manifest for programs, its figures by name."""

    name: str
    version: int
    aliases: Sequence[str]
    classes: Sequence[str]
    card: str = field(repr=False)
    figures: Sequence[str]
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def _repr_markdown_(self) -> str:
        return self.card


@dataclass(frozen=True, kw_only=True)
class Health:
    """Whether the service can answer; `degraded` names promotions that it refused."""

    status: str
    model: str | None = None
    device: str | None = None
    degraded: Sequence[str] = ()
