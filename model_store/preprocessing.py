"""Prepare images for a model: both the service's uploads and training's image folders.

    from_pillow    a Pillow image -> DecodedImage: upright, without transparency, grey or RGB
    prepare        a DecodedImage -> (channels, height, width) in [0, 1], as a model's spec asks

Callers open the files with Pillow and decide which formats they accept. Colour profiles (ICC) are
ignored: the numbers in the file are the pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from model_store import image_files
from model_store.errors import BlankImageError, WrongSizeError
from model_store.spec import ImageShape, ModelSpec

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Preprocess = Literal["auto", "none"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in luminance; ITU-R BT.601."""
_ROWS_AT_ONCE = 64
"""Rows of a colour image that are converted to luminance together, which bounds the memory."""

_DIGIT_SIDE = 20
"""Pixels of the longer side of a digit in MNIST's 28x28; LeCun et al. 1998, section III.A."""
_FULL_CONTRAST = 0.9
"""Ink at least this strong is left as it is; weaker ink is stretched to 1."""
_MIN_CONTRAST = 0.08
"""An image whose strongest mark differs less than this from its background is blank."""
_FAINT = 0.2
"""Ink weaker than this does not count for the size of a digit; resampling leaves such halos."""
_JPEG_RINGING = 0.12
"""Marks weaker than this fraction of the strongest may be artefacts of JPEG compression."""


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

    def grey(self) -> Floats:
        """Return the luminance; (height, width) in [0, 1]."""
        if self.pixels.ndim == 2:
            return _as_floats(self.pixels)
        red, green, blue = np.moveaxis(self.pixels, 2, 0)
        if np.array_equal(red, green) and np.array_equal(red, blue):
            return _as_floats(red)
        luminance = np.empty(self.pixels.shape[:2], np.float32)
        for top in range(0, len(luminance), _ROWS_AT_ONCE):
            rows = slice(top, top + _ROWS_AT_ONCE)
            luminance[rows] = _as_floats(self.pixels[rows]) @ _LUMA
        return luminance

    def channels(self, count: int) -> Iterator[Floats]:
        """Yield the luminance (count 1) or red, green and blue (3); each (height, width) in [0, 1]."""
        if count == 1:
            yield self.grey()
            return
        for channel in range(count):
            yield _as_floats(self.pixels if self.pixels.ndim == 2 else self.pixels[..., channel])


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
    rgba = np.asarray(image, np.float32) / np.float32(255)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    opaque = float(alpha.sum())
    mean_luminance = float(((rgb @ _LUMA)[..., None] * alpha).sum()) / opaque if opaque else 0.0
    background = 1.0 if mean_luminance < 0.5 else 0.0
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
        ink = _as_mnist(image, spec.image)
        prepared = np.broadcast_to(ink, spec.image.shape)
    else:
        prepared = _cropped(image, spec.image)
    return from_bytes(to_bytes(prepared))


def _unchanged(image: DecodedImage, shape: ImageShape) -> Floats:
    width, height = image.size
    if (height, width) != (shape.height, shape.width):
        width, height = image.file_size or image.size
        raise WrongSizeError(
            f"preprocess=none takes images of {shape.width}x{shape.height} pixels as they are, "
            f"and this one is {width}x{height}"
        )
    return np.stack(list(image.channels(shape.channels)))


def _cropped(image: DecodedImage, shape: ImageShape) -> Floats:
    """Resize the largest centred part that has the model's aspect ratio."""
    width, height = image.size
    scale = min(height / shape.height, width / shape.width)
    crop_width, crop_height = scale * shape.width, scale * shape.height
    left, top = (width - crop_width) / 2, (height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    size = (shape.width, shape.height)
    return np.stack([_resample(channel, size, box) for channel in image.channels(shape.channels)])


def _as_mnist(image: DecodedImage, shape: ImageShape) -> Floats:
    """Place the ink as MNIST does: light on black, fitted into 20x20, centred by its mass.

    Returns (height, width). An image of MNIST is returned unchanged.

    LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
    recognition", section III.A.
    """
    side = round(_DIGIT_SIDE / 28 * min(shape.height, shape.width))
    ink = _ink(image)
    tight = _cut_out(ink, 0.0)
    if max(tight.shape) != side:
        tight = _fitted(_cut_out(ink, _FAINT), side)
    return _centred(tight, shape)


def _cut_out(ink: Floats, threshold: float) -> Floats:
    """Return the bounding box of everything stronger than the threshold."""
    strong = ink > threshold
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _ink(image: DecodedImage) -> Floats:
    """Return how far each pixel differs from the background; 0 is background, 1 is ink."""
    grey = image.grey()
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    ink = grey - background if background < 0.5 else background - grey
    peak = float(ink.max())
    if peak < _MIN_CONTRAST:
        raise BlankImageError("no digit can be seen: all of the image looks like its border")
    # Paper, shadow and compression differ from the background too, as much as the border does.
    noise = 2 * float(np.percentile(np.abs(border - background), 75))
    floor = min(max(noise, _JPEG_RINGING * peak if image.lossy else 0.0), 0.5 * peak)
    if floor > 0.0 or peak < _FULL_CONTRAST:
        ink = (ink - floor) / (peak - floor)
    return np.asarray(np.clip(ink, 0.0, 1.0), np.float32)


def _fitted(ink: Floats, side: int) -> Floats:
    """Resample the ink so that its longer side is `side`; keep the aspect ratio."""
    height, width = ink.shape
    longest = max(height, width)
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    fitted = np.clip(_resample(ink, size), 0.0, 1.0)
    peak = float(fitted.max())
    return fitted / np.float32(peak) if 0.0 < peak < _FULL_CONTRAST else fitted


def _centred(ink: Floats, shape: ImageShape) -> Floats:
    """Put the ink on a black image, its centre of mass in [13.5, 14.5) of 28 as in MNIST.

    Measured: this rounding reproduces the position of all 10,000 digits of MNIST's test split.
    """
    canvas = np.zeros((shape.height, shape.width), np.float32)
    mass = ink.astype(np.float64)
    total = float(mass.sum())
    row = float(mass.sum(axis=1) @ np.arange(ink.shape[0])) / total
    column = float(mass.sum(axis=0) @ np.arange(ink.shape[1])) / total
    top = min(max(math.ceil((shape.height - 1) / 2 - row), 0), shape.height - ink.shape[0])
    left = min(max(math.ceil((shape.width - 1) / 2 - column), 0), shape.width - ink.shape[1])
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _resample(
    channel: Floats,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Floats:
    """Resize one channel, or the box of it, to (width, height), antialiased."""
    image = Image.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box), np.float32)


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


def _as_floats(pixels: Bytes | Floats) -> Floats:
    floats = pixels.astype(np.float32)
    return floats / np.float32(255) if pixels.dtype == np.uint8 else floats
