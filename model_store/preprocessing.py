"""Prepare images for a model: both the service's uploads and training's image folders.

    from_pillow    a Pillow image -> DecodedImage: upright, without transparency, grey or RGB
    prepare        a DecodedImage -> (channels, height, width) in [0, 1], as a model's spec asks

Callers open the files with Pillow and decide which formats they accept. Colour profiles (ICC) are
ignored: the numbers in the file are the pixels. From pixels on, all arithmetic is of integers, so
that every machine prepares the same bytes; docs/arithmetic.md specifies it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from model_store import image_files, resampling
from model_store.digit.background import ink_of_ready_image, strong_ink
from model_store.digit.finding import find_digit
from model_store.digit.placing import place_digit
from model_store.errors import BlankImageError, SeveralDigitsError, WrongSizeError
from model_store.resampling import Grid
from model_store.spec import ImageShape, ModelSpec

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Levels = NDArray[np.uint16]
Preprocess = Literal["auto", "none"]

_LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in luminance, in steps of 2^-16; ITU-R BT.601."""
_WHITE = 65535
"""The level of white in images of 16 bits."""
_FINE_ENOUGH = 8
"""An image is reduced by averages as long as each output pixel has this many pixels a side."""


# --- an opened file to pixels ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An upright image without transparency.

    Attributes:
        pixels: (height, width) if grey, (height, width, 3) if RGB; uint8 in 0..255, or float32 in
            [0, 1] if 8 bits do not hold the values.
        lossy: True if the format of the file may leave marks around edges, as JPEG does.
        file_size: (width, height) of the file in pixels if the image was reduced, else None.
    """

    pixels: Bytes | Floats
    lossy: bool = False
    file_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) in pixels."""
        height, width = self.pixels.shape[:2]
        return width, height

    def grey(self, factor: int = 1) -> Levels:
        """Return the luminance in 0..65535; (height, width), reduced by a whole factor."""
        return next(self.channels(1, factor))

    def channels(self, count: int, factor: int = 1) -> Iterator[Levels]:
        """Yield the luminance (count 1) or red, green and blue (3), reduced by a whole factor.

        Each is (height, width) in 0..65535.
        """
        levels = resampling.reduced(self._integers(), factor)
        if count == 1:
            yield levels if levels.ndim == 2 else _luminance(levels)
            return
        for channel in range(count):
            yield levels if levels.ndim == 2 else levels[..., channel]

    def _integers(self) -> Bytes | Levels:
        """Return the pixels as they are if they are bytes, and else in 0..65535."""
        if self.pixels.dtype == np.uint8:
            return np.asarray(self.pixels, np.uint8)
        return np.asarray(np.rint(self.pixels * np.float32(_WHITE)), np.uint16)


def _luminance(levels: Levels) -> Levels:
    """Return the luminance of colours (height, width, 3) in 0..65535; (height, width)."""
    red, green, blue = (levels[..., i].astype(np.uint32) for i in range(3))
    sums = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return ((sums + 2**15) >> 16).astype(np.uint16)


_ORIENTATION = ExifTags.Base.Orientation
_LOSSY = frozenset({"AVIF", "HEIF", "JPEG", "MPO", "WEBP"})
"""Formats, by Pillow's names, that leave marks around edges."""


def from_pillow(image: Image.Image) -> DecodedImage:
    """Decode an opened image file.

    The image is reduced if it has more than `image_files.MAX_DECODED_PIXELS`, and turned by its EXIF
    orientation; its palette is resolved, and transparent parts are filled with black or white,
    whichever contrasts with the drawing. Exceptions of Pillow for a damaged file are passed on.
    """
    size = image.size
    loaded = image_files.load(image)  # first, because EXIF data may follow the pixels
    pixels = _opaque(_upright(loaded, image))
    file_size = None if loaded.size == size else size
    return DecodedImage(pixels, lossy=image.format in _LOSSY, file_size=file_size)


def _upright(image: Image.Image, file: Image.Image) -> Image.Image:
    """Turn an image by the EXIF orientation of its file; return it unchanged if that is broken."""
    try:
        if image is not file and (orientation := file.getexif().get(_ORIENTATION)):
            image.getexif()[_ORIENTATION] = orientation
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - EXIF of real cameras is broken in every way there is
        return image


def _opaque(image: Image.Image) -> Bytes | Floats:
    """Return grey or RGB pixels, with transparent parts filled."""
    if image.mode.startswith("I"):
        grey = np.asarray(image, np.float32) / np.float32(65535)
        return np.asarray(np.clip(grey, 0, 1), np.float32)
    if image.has_transparency_data or image.mode in {"RGBA", "LA", "PA"}:
        return _filled(image.convert("RGBA"))
    return np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB"), np.uint8)


def _filled(image: Image.Image) -> Floats:
    """Lay an RGBA image on black if its visible part is light, on white if that is dark."""
    levels = np.asarray(image, np.uint8)
    weights = levels[..., 3].astype(np.uint64)
    light = int((_luminance(levels[..., :3].astype(np.uint16)) * weights).sum())
    background = 1.0 if 2 * light < 255 * int(weights.sum()) or not weights.any() else 0.0
    rgba = levels.astype(np.float32) / np.float32(255)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    return np.asarray(rgb * alpha + background * (1 - alpha), np.float32)


# --- pixels to the form of a model's training images -------------------------------------------


def prepare(image: DecodedImage, spec: ModelSpec, preprocess: Preprocess = "auto") -> Floats:
    """Bring an image to the form of a model's training images.

    Args:
        image: an image of any size.
        spec: names the shape, and in `upload` the method: "digit" places the ink as MNIST does,
            "resize" crops the centre and resizes it.
        preprocess: "auto", or "none" to use the pixels of an image that already has the right size.

    Returns:
        (channels, height, width) in [0, 1], in steps of 1/255.

    Raises:
        WrongSizeError: preprocess is "none" and the image has another size.
        BlankImageError: spec.upload is "digit" and the image shows nothing.
    """
    if preprocess == "none":
        prepared = _unchanged(image, spec.image)
    elif spec.upload == "digit":
        prepared = np.broadcast_to(_as_mnist(image, spec.image), spec.image.shape)
    else:
        prepared = _cropped(image, spec.image)
    return from_bytes(prepared)


def _unchanged(image: DecodedImage, shape: ImageShape) -> Bytes:
    width, height = image.size
    if (height, width) != (shape.height, shape.width):
        width, height = image.file_size or image.size
        raise WrongSizeError(
            f"preprocess=none takes images of {shape.width}x{shape.height} pixels as they are, "
            f"and this one is {width}x{height}"
        )
    return np.stack([_eight_bits(channel) for channel in image.channels(shape.channels)])


def _cropped(image: DecodedImage, shape: ImageShape) -> Bytes:
    """Resize the largest centred part that has the model's aspect ratio."""
    width, height = image.size
    if (height, width) == (shape.height, shape.width):
        return _unchanged(image, shape)
    # An output pixel is step / unit pixels of the image, the largest scale at which all are inside.
    step, unit = min((height, shape.height), (width, shape.width), key=lambda s: s[0] / s[1])
    factor = max(1, step // (_FINE_ENOUGH * unit))
    rows, columns = (
        resampling.bicubic_weights(
            Grid(-(-length // factor), size, step, unit, length * unit - size * step, factor)
        )
        for length, size in ((height, shape.height), (width, shape.width))
    )
    channels = image.channels(shape.channels, factor)
    return np.stack([_eight_bits(resampling.filtered(c, rows, columns)) for c in channels])


def _as_mnist(image: DecodedImage, shape: ImageShape) -> Bytes:
    """Find the digit, and place it as MNIST does: light on black, (height, width).

    An image of the model's size is taken to be a digit alone; one of MNIST is returned unchanged.
    """
    if image.size == (shape.width, shape.height):
        ink = ink_of_ready_image(image.grey())
    else:
        mark = find_digit(image.grey())
        if mark is not None and mark.rival_is_equal:
            raise SeveralDigitsError(
                "several digits of about the same size are in the image, none of them in its centre"
            )
        ink = mark.ink if mark else strong_ink(image.grey())
    if ink is None:
        raise BlankImageError("no digit can be seen: all of the image looks like its border")
    return place_digit(ink, shape.height, shape.width, lossy=image.lossy)


# --- floats and bytes --------------------------------------------------------------------------


def to_bytes(pixels: Floats) -> Bytes:
    """Convert [0, 1] to 0..255, rounding halves up; any shape."""
    levels = pixels * np.float32(255)
    levels += np.float32(0.5)
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)  # truncation is the floor of numbers >= 0


def from_bytes(pixels: Bytes) -> Floats:
    """Convert 0..255 to [0, 1]; the inverse of `to_bytes`."""
    return pixels.astype(np.float32) / np.float32(255)


def _eight_bits(levels: NDArray[np.integer]) -> Bytes:
    """Convert 0..65535 to 0..255, rounded to the nearest; what is outside is clipped."""
    return np.asarray((np.clip(levels, 0, _WHITE).astype(np.uint32) + 128) // 257, np.uint8)
