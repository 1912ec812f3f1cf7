"""Sizes of pictures as width and height, for the endpoints of OpenAI's API, which have no `scale`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.errors import LimitError, ParameterError
from app.imaging.grid import enlarge
from app.imaging.png import encode_png
from app.typing import Bytes
from model_store.spec import ImageShape

_SIZE = re.compile(r"(\d{1,5})[xX\u00d7](\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class PictureSize:
    """A picture of `width` x `height` pixels: the enlarged image in the middle, black around it."""

    width: int
    height: int
    factor: int
    """Side of the square that each pixel of the image becomes."""

    @classmethod
    def parse(cls, text: str | None, shape: ImageShape, auto_side: int) -> "PictureSize":
        """Return the size that `256x256` or `auto` means for a model's images.

        `auto` is the largest whole multiple whose longer side has at most `auto_side` pixels. Raises
        ParameterError, and LimitError if the image does not fit.
        """
        _, height, width = shape.shape
        if text is None or text == "auto":
            factor = max(1, auto_side // max(width, height))
            return cls(width * factor, height * factor, factor)
        match = _SIZE.fullmatch(text)
        if match is None:
            raise ParameterError(
                f"size: {text[:20]!r} is no size", remedy="send auto, or such as 256x256"
            )
        wanted_width, wanted_height = int(match[1]), int(match[2])
        factor = min(wanted_width // width, wanted_height // height)
        if factor < 1:
            raise LimitError(
                f"size: {text} is smaller than the images of the model, {width}x{height}",
                limit=max(width, height),
                remedy=f"send auto, or at least {width}x{height}",
            )
        return cls(wanted_width, wanted_height, factor)

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def pixels(self) -> int:
        """Return the number of pixels."""
        return self.width * self.height

    def png(self, image: Bytes, parameters: Mapping[str, object] | None = None) -> bytes:
        """Return an image (channels, height, width) as a PNG of this size, with its parameters."""
        return encode_png(self.fit(image), parameters)

    def fit(self, image: Bytes) -> Bytes:
        """Return an image (channels, height, width) at this size."""
        large = enlarge(image, self.factor)
        channels, height, width = large.shape
        if (height, width) == (self.height, self.width):
            return large
        picture = np.zeros((channels, self.height, self.width), np.uint8)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        picture[:, top : top + height, left : left + width] = large
        return picture
