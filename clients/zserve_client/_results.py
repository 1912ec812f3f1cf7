"""The results of the client: images, files, latents and models."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zserve_client import _images

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

SEED_COUNT = 2**32
"""Seeds are 0 to 2^32 - 1; the seed after the last one is 0."""

# --- images ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """An image file from the service, and the headers of its reply.

    Attributes:
        content: Bytes of the file.
        media_type: Such as `image/png`.
        model: `name@version` of the model that made it.
        weights_sha256: SHA-256 of the weights, in hexadecimal.
        request_id: Id of the request in the log of the service.
        seed: Seed of the first image, or None if no seed was used.
        numbers: JSON document for the same images, or None if it was not requested.
        queue_ms: Time in the queue of the service in milliseconds, or None if not reported.
        inference_ms: Time of the computation in milliseconds, or None if not reported.
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
        """Return the whole file as one image; needs Pillow."""
        return _images.open_image(self.content)

    @property
    def images(self) -> list[Image]:
        """Return the images in the file; needs Pillow."""
        return [self.image]

    @property
    def array(self) -> NDArray[np.uint8]:
        """Return `images` as (n, height, width[, 3]); needs Pillow and numpy."""
        return _images.as_array(self.images)

    @property
    def parameters(self) -> dict[str, Any] | None:
        """Return the parameters in the metadata of a PNG; None for a GIF or without metadata."""
        return _images.png_parameters(self.content)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `content` to a file, and return its path."""
        Path(path).write_bytes(self.content)
        return Path(path)

    def _repr_png_(self) -> bytes | None:
        return self.content if self.media_type in {"image/png", "image/apng"} else None

    def _repr_html_(self) -> str | None:
        if self.media_type != "image/gif":
            return None
        return f'<img src="data:image/gif;base64,{base64.b64encode(self.content).decode()}">'


@dataclass(frozen=True, kw_only=True)
class Grid(ImageFile):
    """A grid of n images, row by row."""

    n: int
    columns: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """Return the images of the grid; needs Pillow."""
        return _images.split_grid(self.image, self.n, self.columns, self.scale)

    @property
    def seeds(self) -> list[int] | None:
        """Return the seed of each image, or None if the grid was made from latents."""
        if self.seed is None:
            return None
        return [(self.seed + i) % SEED_COUNT for i in range(self.n)]


@dataclass(frozen=True, kw_only=True)
class Reconstructions(ImageFile):
    """Two rows: the uploads as the model sees them, and their reconstructions."""

    n: int
    scale: int = 1

    @property
    def inputs(self) -> list[Image]:
        """Return the uploads as the model sees them; needs Pillow."""
        return self._tiles()[: self.n]

    @property
    def images(self) -> list[Image]:
        """Return the reconstructions; needs Pillow."""
        return self._tiles()[self.n :]

    def _tiles(self) -> list[Image]:
        return _images.split_grid(self.image, 2 * self.n, self.n, self.scale)


@dataclass(frozen=True, kw_only=True)
class Interpolation(ImageFile):
    """A row of A, the frames between the reconstructions, and B; or an animation of the frames."""

    steps: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """Return the frames; those of a GIF or APNG in the order of the animation. Needs Pillow."""
        if self.media_type != "image/png":
            return _images.open_frames(self.content)
        return self._tiles()[1:-1]

    @property
    def ends(self) -> list[Image]:
        """Return A and B as the model sees them; empty for a GIF or APNG. Needs Pillow."""
        tiles = self._tiles() if self.media_type == "image/png" else []
        return [tiles[0], tiles[-1]] if tiles else []

    def _tiles(self) -> list[Image]:
        return _images.split_grid(self.image, self.steps + 2, self.steps + 2, self.scale)


@dataclass(frozen=True, kw_only=True)
class Traversal(ImageFile):
    """One row for each latent dimension, or for each direction."""

    steps: int
    scale: int = 1

    @property
    def images(self) -> list[Image]:
        """Return all images, row by row; needs Pillow."""
        image = self.image
        step = (image.width - _images.PADDING * self.scale) // self.steps
        rows = (
            len(self.dims or self.directions) or image.height // step
        )  # no metadata: assumes square images
        return _images.split_grid(image, rows * self.steps, self.steps, self.scale)

    @property
    def array(self) -> NDArray[np.uint8]:
        """Return (rows, steps, height, width[, 3]); needs Pillow and numpy."""
        flat = _images.as_array(self.images)
        return flat.reshape(-1, self.steps, *flat.shape[1:])

    @property
    def dims(self) -> list[int]:
        """Return the latent dimension of each row; empty without metadata."""
        return list((self.parameters or {}).get("dims", ()))

    @property
    def directions(self) -> list[str]:
        """Return the direction of each row; empty for dimensions and without metadata."""
        return list((self.parameters or {}).get("direction", ()))


# --- files -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Download:
    """A downloaded file.

    Attributes:
        path: The file.
        model: `name@version` of the model that made the samples.
        weights_sha256: SHA-256 of the weights, in hexadecimal.
        seed: Seed of the first sample.
    """

    path: Path
    model: str
    weights_sha256: str = field(repr=False)
    seed: int | None = None


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder with one folder of images for each label, and a manifest.csv.

    Attributes:
        folder: The folder.
        model: `name@version` of the model that made the samples.
        seed: Seed of the first image of each label.
        labels: Names of the classes; a single None for images without a label.
        n: Number of images in the folder.
        fetched: Number of images that this call fetched; earlier calls fetched the others.
    """

    folder: Path
    model: str
    seed: int
    labels: Sequence[str | None]
    n: int
    fetched: int


# --- compressed images -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CompressedImages:
    """Images as one file, which `decompress` turns into the same images.

    Attributes:
        content: Bytes of the file.
        model: `name@version` of the model that wrote it, which is needed to read it.
        weights_sha256: SHA-256 of the weights, in hexadecimal.
        bits_per_dimension: Bits of the file for each value of the images.
        request_id: Id of the request in the log of the service.
    """

    content: bytes = field(repr=False)
    model: str
    weights_sha256: str = field(repr=False)
    bits_per_dimension: float
    request_id: str | None = field(default=None, repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write `content` to a file, and return its path."""
        Path(path).write_bytes(self.content)
        return Path(path)


@dataclass(frozen=True, kw_only=True)
class DecompressedImages:
    """The images of a compressed file.

    Attributes:
        content: A zip archive of PNG files, 000000.png and so on.
        model: `name@version` of the model that the file was written with.
        weights_sha256: SHA-256 of the weights, in hexadecimal.
        request_id: Id of the request in the log of the service.
    """

    content: bytes = field(repr=False)
    model: str
    weights_sha256: str = field(repr=False)
    request_id: str | None = field(default=None, repr=False)

    @property
    def images(self) -> list[Image]:
        """Return the images; needs Pillow."""
        return [_images.open_image(png) for png in _images.archived_pngs(self.content).values()]

    @property
    def array(self) -> NDArray[np.uint8]:
        """Return `images` as (n, height, width[, 3]); needs Pillow and numpy."""
        return _images.as_array(self.images)

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write the PNG files into a folder, which is made if needed, and return their paths."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for name, png in _images.archived_pngs(self.content).items():
            paths.append(Path(folder) / name)
            paths[-1].write_bytes(png)
        return paths


# --- latents -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """The latent distribution of one image: q(z | x) = N(mu, sigma^2), logvar = ln sigma^2."""

    mu: Sequence[float]
    logvar: Sequence[float]
    kl_nats: float


@dataclass(frozen=True, kw_only=True)
class Encodings:
    """The latent distributions of images; `decode` takes them and decodes `mu`."""

    model: str
    weights_sha256: str = field(repr=False)
    images: Sequence[Encoding]

    @property
    def mu(self) -> list[list[float]]:
        """Return mu of each image as a row."""
        return [list(image.mu) for image in self.images]

    @property
    def logvar(self) -> list[list[float]]:
        """Return logvar = ln sigma^2 of each image as a row."""
        return [list(image.logvar) for image in self.images]

    @property
    def array(self) -> NDArray[np.float32]:
        """Return mu as (n, latent); needs numpy."""
        _images.require("numpy")
        import numpy as np  # noqa: PLC0415 - an extra

        return np.array(self.mu, np.float32)


# --- scores ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Score:
    """How likely and how typical one image is; numbers of test images are None without a table.

    Attributes:
        elbo_nats: Evidence lower bound of ln p(x).
        reconstruction_nats: Mean of -ln p(x | z) over the draws.
        kl_nats: Estimate of KL(q(z | x) || p(z)).
        nll_nats: Importance-weighted estimate of -ln p(x).
        bits_per_dimension: `nll_nats` in bits for each value of a pixel.
        effective_samples: Effective number of draws; near 1, `nll_nats` is too high.
        elbo_quantile: Share of the test images with a smaller ELBO.
        nll_quantile: Share of the test images with a smaller `nll_nats`.
        score: Typicality score; larger is less typical.
        quantile: Share of the test images with a smaller score.
        verdict: `typical`, `atypical` (99 % of the test images have a smaller score) or
            `out_of_distribution` (99.9 %).
    """

    elbo_nats: float
    reconstruction_nats: float
    kl_nats: float
    nll_nats: float
    bits_per_dimension: float
    effective_samples: float
    elbo_quantile: float | None
    nll_quantile: float | None
    score: float | None
    quantile: float | None
    verdict: str | None


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The scores of images.

    Attributes:
        model: `name@version` of the model.
        weights_sha256: SHA-256 of the weights, in hexadecimal.
        seed: Seed of the draws of the first image.
        draws: Draws of z per image.
        images: The score of each image.
        notice: The reason why verdicts are None, or None.
    """

    model: str
    weights_sha256: str = field(repr=False)
    seed: int
    draws: int
    images: Sequence[Score]
    notice: str | None = None


# --- models ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric of a version, and how it was measured."""

    value: float
    unit: str
    protocol: str = ""


@dataclass(frozen=True, kw_only=True)
class SampleQuality:
    """How good the samples of a version are; comparable only between versions of one data set.

    Attributes:
        recognisable: Share of samples that a classifier is sure of, relative to test images.
        frechet_distance: Distance between samples and test images; lower is better.
    """

    dataset: str
    recognisable: float
    frechet_distance: float


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model and its production version.

    Attributes:
        version: The production version, which requests by the bare name use.
        aliases: Version of each alias.
        versions: All versions.
        default: True if requests without `model` use this model.
        channels: 1 for grey images, 3 for colour.
        latent: Number of latent dimensions.
        classes: Names of the classes; empty if the model was trained without labels.
        directions: Names for `edit` and `traverse`; empty if the version has no directions.
        metrics: Metrics of the version by name.
        sample_quality: Quality of the samples; None if it was not measured.
        best_samples: True if the service lists no model with better samples of this data set.
    """

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
    directions: Sequence[str] = ()
    sample_quality: SampleQuality | None = None
    best_samples: bool = False

    @property
    def ref(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version of a model.

    Attributes:
        aliases: Aliases that point at this version.
        classes: Names of the classes; empty if the model was trained without labels.
        card: Model card in Markdown.
        figures: Names of the published figures.
        manifest: The manifest as published.
    """

    name: str
    version: int
    aliases: Sequence[str]
    classes: Sequence[str]
    card: str = field(repr=False)
    figures: Sequence[str]
    manifest: Mapping[str, Any] = field(repr=False)

    @property
    def ref(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"

    def _repr_markdown_(self) -> str:
        return self.card


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of the service.

    Attributes:
        status: `live` or `ready`.
        model: The loaded default version, `name@version`, if the service is ready.
        device: Device that it runs on, if the service is ready.
        degraded: A line for each promotion that was refused, for each exact version that the machine
            computes wrongly, and for a store that does not answer.
    """

    status: str
    model: str | None = None
    device: str | None = None
    degraded: Sequence[str] = ()
