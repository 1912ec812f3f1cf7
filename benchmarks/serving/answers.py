"""Whether an answer is what was asked for: a valid PNG of n tiles, as torchvision lays them out."""

import io
import math
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

PADDING = 2
EMPTY = 8
"""A tile whose brightest and darkest pixel are closer than this shows nothing."""


class WrongAnswerError(Exception):
    """An answer that is not what was asked for: a server that gives one is not measured."""


@dataclass(frozen=True)
class Expected:
    """n tiles of height x width in ceil(sqrt(n)) columns, 2 pixels around each; one tile bare."""

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
        """Pixels around a tile: torchvision leaves a single image as it is."""
        return 0 if self.n == 1 else PADDING

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the PNG."""
        return (
            self.columns * (self.width + self.padding) + self.padding,
            self.rows * (self.height + self.padding) + self.padding,
        )


def check_png(content: bytes, expected: Expected) -> None:
    """Raise WrongAnswerError unless it is a whole PNG of the right size with n tiles in it."""
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.load()
            found, pixels = image.size, np.asarray(image.convert("L"))
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        start = content[:120]
        raise WrongAnswerError(f"not a PNG ({error}); it begins {start!r}") from error
    if found != expected.size:
        raise WrongAnswerError(f"the PNG is {found}, {expected.n} tiles make {expected.size}")
    shown = count_tiles(pixels, expected)
    if shown != expected.n:
        raise WrongAnswerError(f"the PNG shows {shown} tiles, {expected.n} were asked for")


def count_tiles(pixels: "np.typing.NDArray[np.uint8]", expected: Expected) -> int:
    """Places of the grid that show something; pixels (height, width)."""
    across, down = expected.width + expected.padding, expected.height + expected.padding
    count = 0
    for row in range(expected.rows):
        for column in range(expected.columns):
            top, left = row * down + expected.padding, column * across + expected.padding
            tile = pixels[top : top + expected.height, left : left + expected.width]
            count += int(tile.max()) - int(tile.min()) >= EMPTY
    return count
