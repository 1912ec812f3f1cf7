"""Snapshots of a training: what a version drew, and where it placed test images, while it learnt.

`snapshots.json` holds numbers and, in base64, two arrays: positions of test images in a plane of the
latent space, and one PNG of all images, a row for each snapshot. A row begins with the samples, which
are decoded from the same latents in each snapshot, and ends with reconstructions of the same test
images. It holds no image of a data set.
"""

import base64
import binascii
import io
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_store import json_files
from model_store.spec import ImageShape, ModelSpec

Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]

MAX_BYTES = 1024 * 1024
"""Largest snapshots.json that is read; one of 20 snapshots of 28x28 pixels has about 250 kB."""
MAX_SNAPSHOTS = 32
MAX_TILES = 32
"""Largest number of images of one snapshot, samples and reconstructions together."""
MAX_POINTS = 1000
"""Largest number of test images of a file."""
MAX_DIMENSIONS = 32
"""Largest number of latent dimensions whose KL is kept: the most informative ones."""
MAX_IMAGE_VALUES = 1536
"""Largest number of values of one image, channels included; larger images are kept smaller."""

_POSITION = np.dtype("<i2")
_LARGEST_POSITION = 32_767
_PLACES = 4
"""Decimals of stored numbers."""

MAX_NUMBER = 1e12
"""Largest absolute value of a number; nats and epochs are far smaller."""
_Finite = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]
_Curve = Annotated[tuple[_Finite, ...], Field(min_length=2, max_length=MAX_SNAPSHOTS)]
_Dimension = Annotated[int, Field(ge=0)]
_Labels = Annotated[tuple[_Dimension, ...], Field(max_length=MAX_POINTS)]
_Row = Annotated[tuple[_Finite, ...], Field(min_length=1, max_length=MAX_DIMENSIONS)]


class Snapshots(BaseModel):
    """The snapshots of a training, snapshots.json.

    Attributes:
        format: names this format; another one gets another name.
        epochs: passes over the training images before each snapshot, ascending; 0 is untrained.
        test_images: number of test images that are measured and placed.
        reconstruction_nats: -ln p(x | z) of the test images at each snapshot.
        kl_nats: KL(q(z | x) || p(z)) of the test images at each snapshot.
        dimensions: latent dimensions, the one with the largest KL after the training first.
        dimension_kl_nats: KL of each of `dimensions` to N(0, 1) at each snapshot.
        samples: number of samples in each row of `images`.
        reconstructions: number of reconstructions in each row of `images`, after the samples.
        reconstruction_labels: class of each reconstructed test image; None without labels.
        image: shape of each image, which is smaller than the model's if that is large.
        images: base64 of a PNG without gaps between images; one row for each snapshot.
        labels: class of each test image; None without labels.
        position_step: distance in the latent space that one unit of `positions` stands for.
        positions: base64 of little-endian int16, (snapshots, test_images, coordinates): mu of the
            test images along the first two of `dimensions`, or along the only one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["snapshots-1"] = "snapshots-1"
    epochs: _Curve
    test_images: int = Field(ge=1, le=MAX_POINTS)
    reconstruction_nats: _Curve
    kl_nats: _Curve
    dimensions: tuple[_Dimension, ...] = Field(min_length=1, max_length=MAX_DIMENSIONS)
    dimension_kl_nats: tuple[_Row, ...] = Field(max_length=MAX_SNAPSHOTS)
    samples: int = Field(ge=1, le=MAX_TILES)
    reconstructions: int = Field(ge=1, le=MAX_TILES)
    reconstruction_labels: _Labels | None = None
    image: ImageShape
    images: str = Field(max_length=MAX_BYTES)
    labels: _Labels | None = None
    position_step: float = Field(gt=0, le=MAX_NUMBER, allow_inf_nan=False)
    positions: str = Field(max_length=MAX_BYTES)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.epochs[0] < 0 or any(a >= b for a, b in pairwise(self.epochs)):
            raise ValueError("epochs are not ascending")
        for name in ("reconstruction_nats", "kl_nats", "dimension_kl_nats"):
            if len(getattr(self, name)) != len(self.epochs):
                raise ValueError(f"{name} and epochs differ in length")
        if len(set(self.dimensions)) < len(self.dimensions):
            raise ValueError("a latent dimension occurs twice")
        if any(len(row) != len(self.dimensions) for row in self.dimension_kl_nats):
            raise ValueError("dimension_kl_nats and dimensions differ in length")
        for labels, images in (
            (self.labels, self.test_images),
            (self.reconstruction_labels, self.reconstructions),
        ):
            if labels is not None and len(labels) != images:
                raise ValueError(f"{len(labels)} labels for {images} images")
        if self.samples + self.reconstructions > MAX_TILES:
            raise ValueError(f"a snapshot has more than {MAX_TILES} images")
        if self.image.pixels > MAX_IMAGE_VALUES:
            raise ValueError(f"an image has more than {MAX_IMAGE_VALUES} values")
        self.points_in_plane()
        self.tiles()
        return self

    @property
    def coordinates(self) -> int:
        """Return the number of coordinates of a position: 2, or 1 for one latent dimension."""
        return min(2, len(self.dimensions))

    def points_in_plane(self) -> Doubles:
        """Return the positions of the test images, (snapshots, test_images, coordinates).

        Raises ValueError if they are damaged.
        """
        shape = (len(self.epochs), self.test_images, self.coordinates)
        content = _decoded(self.positions, "positions")
        if len(content) != np.prod(shape) * _POSITION.itemsize:
            raise ValueError(f"positions have {len(content)} bytes, not those of {shape}")
        steps = np.frombuffer(content, _POSITION).reshape(shape).astype(np.float64)
        return steps * self.position_step

    def tiles(self) -> Bytes:
        """Return the images, (snapshots, samples + reconstructions, channels, height, width).

        Raises ValueError if they are damaged.
        """
        channels, height, width = self.image.shape
        rows, columns = len(self.epochs), self.samples + self.reconstructions
        size = (columns * width, rows * height)
        sheet = _opened(_decoded(self.images, "images"), size, _mode(channels))
        tiles = sheet.reshape(rows, height, columns, width, channels)
        return tiles.transpose(0, 2, 4, 1, 3)

    def check_fit(self, spec: ModelSpec, classes: tuple[str, ...] | None) -> None:
        """Raise ValueError unless the snapshots can be those of a version."""
        if max(self.dimensions) >= spec.latent or self.coordinates != min(2, spec.latent):
            raise ValueError(f"they do not fit the {spec.latent} latent dimensions of the spec")
        if self.image.channels != spec.image.channels:
            raise ValueError(f"they do not fit the {spec.image.channels} channels of the spec")
        highest = max((*(self.labels or ()), *(self.reconstruction_labels or ())), default=-1)
        if highest >= len(classes or ()):
            raise ValueError(f"label {highest} is none of the {len(classes or ())} classes")


def make(
    *,
    epochs: Doubles,
    reconstruction_nats: Doubles,
    kl_nats: Doubles,
    dimension_kl_nats: Doubles,
    samples: int,
    tiles: Bytes,
    reconstruction_labels: tuple[int, ...] | None,
    mu: Doubles,
    labels: tuple[int, ...] | None,
) -> Snapshots:
    """Return snapshots of arrays.

    dimension_kl_nats is (snapshots, latent), tiles (snapshots, images, channels, height, width),
    mu (snapshots, test_images, latent). The dimensions are ranked by their KL in the last snapshot.
    """
    ranked = np.argsort(-dimension_kl_nats[-1], kind="stable")[:MAX_DIMENSIONS]
    plane = mu[:, :, ranked[:2]]
    step = max(float(np.abs(plane).max()) / _LARGEST_POSITION, 1e-9)
    _, columns, channels, height, width = tiles.shape
    return Snapshots(
        epochs=_rounded(epochs),
        test_images=mu.shape[1],
        reconstruction_nats=_rounded(reconstruction_nats),
        kl_nats=_rounded(kl_nats),
        dimensions=tuple(int(each) for each in ranked),
        dimension_kl_nats=tuple(_rounded(row[ranked]) for row in dimension_kl_nats),
        samples=samples,
        reconstructions=columns - samples,
        reconstruction_labels=reconstruction_labels,
        image=ImageShape(channels=_grey_or_colour(channels), height=height, width=width),
        images=_png(tiles),
        labels=labels,
        position_step=step,
        positions=base64.b64encode(np.round(plane / step).astype(_POSITION).tobytes()).decode(),
    )


def to_bytes(snapshots: Snapshots) -> bytes:
    """Return the content of snapshots.json; raises ValueError if it would not be read again."""
    content = (snapshots.model_dump_json() + "\n").encode()
    if len(content) > MAX_BYTES:
        raise ValueError(f"the snapshots have {len(content)} bytes, at most {MAX_BYTES} are kept")
    return content


def from_bytes(content: bytes) -> Snapshots:
    """Read snapshots.json; raises CorruptVersionError."""
    return json_files.read(Snapshots, content, MAX_BYTES)


def _png(tiles: Bytes) -> str:
    """Return the base64 of one PNG with a row of images for each snapshot."""
    count, columns, channels, height, width = tiles.shape
    sheet = tiles.transpose(0, 3, 1, 4, 2).reshape(count * height, columns * width, channels)
    with io.BytesIO() as file:
        Image.fromarray(sheet[..., 0] if channels == 1 else sheet).save(file, "png", optimize=True)
        return base64.b64encode(file.getvalue()).decode()


def _opened(png: bytes, size: tuple[int, int], mode: str) -> Bytes:
    """Return the pixels of a PNG; raises ValueError if it is damaged or not of this size and mode."""
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if (image.size, image.mode) == (size, mode):
                return np.asarray(image)
            other = f"{image.size} {image.mode}"
    except Exception as error:  # Pillow raises many kinds for damaged or enormous images
        raise ValueError("images is no intact PNG") from error
    raise ValueError(f"images is a PNG of {other}, {size} {mode} is expected")


def _grey_or_colour(channels: int) -> Literal[1, 3]:
    return 1 if channels == 1 else 3


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{name} is not base64") from error


def _rounded(values: Doubles) -> tuple[float, ...]:
    return tuple(round(float(value), _PLACES) for value in values)
