"""Results of endpoints before they are encoded, and the client's options for encoding them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray
from pydantic import BaseModel

from app.inference.loaded_model import LoadedModel
from app.typing import Bytes, Floats


@dataclass(frozen=True)
class OutputOptions:
    """The form of the answer that the client requested. All fields are part of the ETag."""

    format: str
    """A key of `render.FORMATS`."""
    scale: int = 1
    """Factor by which each pixel is enlarged to a square."""
    pixels: bool = False
    """True to show images in JSON as nested numbers, False as base64 PNGs."""
    metadata: bool = True
    """True to store the parameters of the request in the file."""


class Grid(NamedTuple):
    """Images (batch, channels, height, width) in 0..255 and the number of columns to show them in."""

    images: Bytes
    columns: int


class Animation(NamedTuple):
    """Frames (batch, channels, height, width) in 0..255 and the settings of their animation."""

    frames: Bytes
    frame_ms: int
    loop: bool
    bounce: bool
    """True to play the frames backwards after the last one."""


class Arrays(NamedTuple):
    """Arrays by name: images (..., channels, height, width) in 0..255, and numbers.

    Numbers that are None are left out.
    """

    images: Mapping[str, Bytes]
    numbers: Mapping[str, NDArray[Any] | Sequence[Any] | None]


class FileEntry(NamedTuple):
    """The description of one image file in an archive."""

    name: str
    fields: Mapping[str, object]
    """The file's columns in manifest.csv."""
    z: Floats | None = None
    """The latent that the image was decoded from; None for an upload."""
    parameters: Mapping[str, object] | None = None
    """The parameters that reproduce this image alone; None for an upload."""


class ImageFiles(NamedTuple):
    """Images (batch, channels, height, width) in 0..255, each with its file entry."""

    images: Bytes
    entries: Sequence[FileEntry]


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The images and numbers of an answer. Subclasses return them as each kind of content on offer.

    Each method returns one kind of content (`render.FORMATS` lists which formats are made of
    which kind). Nothing is computed for kinds that are not asked for.
    """

    model: LoadedModel
    parameters: Mapping[str, object]
    """The parameters that reproduce the answer; stored in files unless metadata=false."""
    seed: int | None = None
    """Seed for the X-Seed header and the file name."""
    images: Bytes
    """The images that were decoded, or uploaded if none were decoded; in 0..255."""

    def grid(self) -> Grid:
        """Return one picture of all images."""
        raise NotImplementedError

    def animation(self) -> Animation:
        """Return the images as frames."""
        raise NotImplementedError

    def files(self) -> ImageFiles:
        """Return the images as files."""
        raise NotImplementedError

    def arrays(self) -> Arrays:
        """Return images and numbers as arrays."""
        raise NotImplementedError

    def document(self, output: OutputOptions) -> BaseModel:
        """Return the JSON document of the answer."""
        raise NotImplementedError


def square_columns(n: int) -> int:
    """Return the number of columns of the squarest grid of n images: ceil(sqrt(n))."""
    return math.isqrt(n - 1) + 1
