"""Check that an answer is a valid PNG with n tiles in torchvision's grid layout."""

import io
import math
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

PADDING = 2
MIN_CONTRAST = 8
"""Grey levels between the brightest and the darkest pixel below which a tile counts as empty."""


class WrongAnswerError(Exception):
    """A server sent an answer other than the requested one, so it is not measured."""


@dataclass(frozen=True)
class ExpectedPng:
    """Layout of n tiles of height x width pixels in ceil(sqrt(n)) columns."""

    n: int
    height: int = 28
    width: int = 28

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return math.isqrt(self.n - 1) + 1

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.n // self.columns)

    @property
    def padding(self) -> int:
        """Pixels around a tile; torchvision adds none to a single image."""
        return 0 if self.n == 1 else PADDING

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the PNG in pixels."""
        return (
            self.columns * (self.width + self.padding) + self.padding,
            self.rows * (self.height + self.padding) + self.padding,
        )


def check_png(content: bytes, expected: ExpectedPng) -> None:
    """Raise WrongAnswerError unless `content` is a complete PNG of that size with n tiles."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            size, pixels = image.size, np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        start = content[:120]
        raise WrongAnswerError(f"not a PNG ({error}); it begins with {start!r}") from error
    if size != expected.size:
        raise WrongAnswerError(
            f"the PNG has {size} pixels, a grid of {expected.n} tiles has {expected.size}"
        )
    tiles = count_tiles(pixels, expected)
    if tiles != expected.n:
        raise WrongAnswerError(f"the PNG has {tiles} tiles that are not empty, not {expected.n}")


def count_tiles(pixels: "np.typing.NDArray[np.uint8]", expected: ExpectedPng) -> int:
    """Count the tiles that are not empty; pixels (height, width)."""
    across, down = expected.width + expected.padding, expected.height + expected.padding
    count = 0
    for row in range(expected.rows):
        for column in range(expected.columns):
            top, left = row * down + expected.padding, column * across + expected.padding
            tile = pixels[top : top + expected.height, left : left + expected.width]
            count += int(tile.max()) - int(tile.min()) >= MIN_CONTRAST
    return count
