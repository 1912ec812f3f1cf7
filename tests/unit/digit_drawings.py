"""Drawings of digits by code, and photographs of them."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model_store.preprocessing import from_pillow, prepare, to_bytes
from model_store.spec import MLP, ModelSpec

Bytes = NDArray[np.uint8]

SPEC = ModelSpec(network=MLP(), latent=2)
SEVEN = ((30, 30), (150, 25), (90, 215))
TWO = ((30, 70), (60, 25), (140, 30), (160, 90), (40, 225), (175, 220))


def stroke(points: Sequence[tuple[int, int]], size: tuple[int, int] = (200, 260)) -> Bytes:
    """A stroke in white on black."""
    drawing = Image.new("L", size, 0)
    ImageDraw.Draw(drawing).line(list(points), fill=255, width=26, joint="curve")
    return np.asarray(drawing)


def prepared(image: Bytes | Image.Image, kind: str = "PNG") -> Bytes:
    """An image as an upload that is prepared for a model of digits."""
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, kind)
    return prepared_file(file.getvalue())


def prepared_file(content: bytes) -> Bytes:
    levels: Bytes = to_bytes(prepare(from_pillow(Image.open(io.BytesIO(content))), SPEC))[0]
    return levels


def likeness(a: Bytes, b: Bytes) -> float:
    """The cosine of the angle between two images, one of them moved by up to a pixel.

    1 if they are the same.
    """
    x, y = a.astype(float), b.astype(float)
    moved = [np.roll(x, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return float(max((z * y).sum() for z in moved) / np.sqrt((x * x).sum() * (y * y).sum()))
