"""Uploads -> float arrays: `decode_upload` turns the bytes of a PNG or JPEG into pixels, `prepare`
brings them to the form of a model's training images. The way out is `formats`.
"""

import io
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.errors import (
    BlankImageError,
    CorruptImageError,
    EmptyImageError,
    NotAnImageError,
    TooManyPixelsError,
    WrongSizeError,
)
from model_store.spec import ImageShape, ModelSpec

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Preprocess = Literal["auto", "none"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""ITU-R BT.601."""

_DIGIT_SIDE = 20
"""MNIST's digits fit 20x20 pixels; LeCun et al. 1998, section III.A."""
_FULL_CONTRAST = 0.9
"""Ink at least this strong is left as it is; weaker ink is stretched to 1."""
_LEAST_CONTRAST = 0.08
"""A picture whose strongest mark differs less than this from its background is blank."""
_FAINT = 0.2
"""Halos of resampling are weaker than this, and do not count for the size of a digit."""
_JPEG_RINGING = 0.12
"""Marks weaker than this fraction of the strongest may be JPEG's own."""


# --- bytes to pixels ---------------------------------------------------------------------------


class Picture:
    """A decoded upload: pixels (height, width, 3) in [0, 1], and whether it came as a JPEG."""

    def __init__(self, pixels: Floats, *, lossy: bool) -> None:
        self.pixels = pixels
        self.lossy = lossy

    def grey(self) -> Floats:
        """Luminance; (height, width) in [0, 1]."""
        r = self.pixels[..., 0]
        if np.array_equal(r, self.pixels[..., 1]) and np.array_equal(r, self.pixels[..., 2]):
            return r
        return np.asarray(self.pixels @ _LUMA, np.float32)


def decode_upload(content: bytes, *, max_pixels: int) -> Picture:
    """The picture in a PNG or JPEG file, upright and without transparency.

    The format is read from the content, the number of pixels from the header before anything is
    decoded. Raises EmptyImageError, NotAnImageError, CorruptImageError, TooManyPixelsError.
    """
    if not content:
        raise EmptyImageError("the image has no bytes", remedy="check the name of the file")
    opener = _opener(content)
    try:
        image = opener(io.BytesIO(content))
    except Exception as error:
        raise _corrupt(error) from error
    _check_pixels(image, max_pixels)
    try:
        image.load()
        return Picture(_to_rgb(_upright(image)), lossy=opener is JpegImageFile)
    except Exception as error:
        raise _corrupt(error) from error


def _opener(content: bytes) -> type[PngImageFile] | type[JpegImageFile]:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PngImageFile
    if content.startswith(b"\xff\xd8\xff"):
        return JpegImageFile
    raise NotAnImageError(
        f"{len(content)} bytes that begin with {content[:8]!r} are neither a PNG nor a JPEG",
        remedy="save the image as PNG or JPEG and send that",
    )


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"the image is {width}x{height}, that is {width * height} pixels; "
            f"at most {max_pixels} are taken",
            limit=max_pixels,
            remedy="make the image smaller; the models see at most a few thousand pixels",
        )


def _corrupt(error: Exception) -> CorruptImageError:
    """A decoder may raise anything at all on damaged bytes; it all means the same."""
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return CorruptImageError(
        f"the image is damaged or cut short: {reason}", remedy="send the whole file again"
    )


def _upright(image: Image.Image) -> Image.Image:
    """Turned as its EXIF data say; as it is where they cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - EXIF of real cameras is broken in every way there is
        return image


def _to_rgb(image: Image.Image) -> Floats:
    """(height, width, 3) in [0, 1]; transparency lies on what contrasts with the drawing."""
    if image.mode.startswith("I"):
        grey = np.asarray(image, np.float32) / np.float32(65535)
        return np.repeat(np.clip(grey, 0, 1)[..., None], 3, axis=2)
    if not (image.has_transparency_data or image.mode in {"RGBA", "LA", "PA"}):
        return np.asarray(image.convert("RGB"), np.float32) / np.float32(255)
    rgba = np.asarray(image.convert("RGBA"), np.float32) / np.float32(255)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    opaque = float(alpha.sum())
    drawn = float(((rgb @ _LUMA)[..., None] * alpha).sum()) / opaque if opaque else 0.0
    background = 1.0 if drawn < 0.5 else 0.0
    return np.asarray(rgb * alpha + background * (1 - alpha), np.float32)


# --- pixels to what the model was trained on ---------------------------------------------------


def prepare(picture: Picture, spec: ModelSpec, preprocess: Preprocess = "auto") -> Floats:
    """(channels, height, width) in [0, 1], in steps of 1/255, as the model's training images.

    Raises WrongSizeError for preprocess="none", BlankImageError for digits.
    """
    if preprocess == "none":
        ready = _ready(picture, spec.image)
    elif spec.upload == "digit":
        ready = _as_mnist(picture, spec.image)[None]
    else:
        ready = _cropped(picture, spec.image)
    return from_bytes(to_bytes(ready))


def _ready(picture: Picture, image: ImageShape) -> Floats:
    height, width = picture.pixels.shape[:2]
    if (height, width) != (image.height, image.width):
        raise WrongSizeError(
            f"preprocess=none takes images of {image.width}x{image.height} pixels as they are, "
            f"and this one is {width}x{height}",
            remedy="leave preprocess out, and the image is brought to the model's form",
        )
    return _channels(picture, image)


def _channels(picture: Picture, image: ImageShape) -> Floats:
    return picture.grey()[None] if image.channels == 1 else picture.pixels.transpose(2, 0, 1)


def _cropped(picture: Picture, image: ImageShape) -> Floats:
    """The largest centred part of the model's aspect ratio, resized."""
    channels = _channels(picture, image)
    height, width = channels.shape[1:]
    scale = min(height / image.height, width / image.width)
    crop_h, crop_w = scale * image.height, scale * image.width
    left, top = (width - crop_w) / 2, (height - crop_h) / 2
    box = (left, top, left + crop_w, top + crop_h)
    return np.stack([_resample(c, (image.width, image.height), box) for c in channels])


def _as_mnist(picture: Picture, image: ImageShape) -> Floats:
    """As MNIST was made: light ink on black, fit 20x20, centre of mass at the centre.

    LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document
    recognition", section III.A. An image of MNIST comes back as it was.
    """
    side = round(_DIGIT_SIDE / 28 * min(image.height, image.width))
    ink = _ink(picture)
    tight = _cut_out(ink, 0.0)
    if max(tight.shape) != side:
        tight = _fitted(_cut_out(ink, _FAINT), side)
    return _centred(tight, image)


def _cut_out(ink: Floats, threshold: float) -> Floats:
    """The bounding box of everything stronger than the threshold."""
    strong = ink > threshold
    rows, columns = np.flatnonzero(strong.any(axis=1)), np.flatnonzero(strong.any(axis=0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _ink(picture: Picture) -> Floats:
    """How much darker or lighter than the background each pixel is; 0 is background, 1 is ink."""
    grey = picture.grey()
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    background = float(np.median(border))
    ink = grey - background if background < 0.5 else background - grey
    peak = float(ink.max())
    if peak < _LEAST_CONTRAST:
        raise BlankImageError(
            "no digit can be seen: all of the image looks like its border",
            remedy="draw or photograph one digit, dark on light or light on dark, "
            "with some background around it",
        )
    # Paper, shadow and compression differ from the background too: as much as the border does.
    noise = 2 * float(np.percentile(np.abs(border - background), 75))
    floor = min(max(noise, _JPEG_RINGING * peak if picture.lossy else 0.0), 0.5 * peak)
    if floor > 0.0 or peak < _FULL_CONTRAST:
        ink = (ink - floor) / (peak - floor)
    return np.asarray(np.clip(ink, 0.0, 1.0), np.float32)


def _fitted(ink: Floats, side: int) -> Floats:
    """Resampled so that the longest side is `side`, aspect kept, antialiased."""
    height, width = ink.shape
    longest = max(height, width)
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    fitted = np.clip(_resample(ink, size), 0.0, 1.0)
    peak = float(fitted.max())
    return fitted / np.float32(peak) if 0.0 < peak < _FULL_CONTRAST else fitted


def _centred(ink: Floats, image: ImageShape) -> Floats:
    """On a black image, with the centre of mass in [13.5, 14.5) of 28, where MNIST has it.

    Measured: this rounding reproduces the place of all 10,000 digits of MNIST's test split.
    """
    canvas = np.zeros((image.height, image.width), np.float32)
    mass = ink.astype(np.float64)
    total = float(mass.sum())
    row = float(mass.sum(axis=1) @ np.arange(ink.shape[0])) / total
    column = float(mass.sum(axis=0) @ np.arange(ink.shape[1])) / total
    top = min(max(math.ceil((image.height - 1) / 2 - row), 0), image.height - ink.shape[0])
    left = min(max(math.ceil((image.width - 1) / 2 - column), 0), image.width - ink.shape[1])
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return canvas


def _resample(
    channel: Floats,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None = None,
) -> Floats:
    """One channel at another (width, height), antialiased."""
    image = Image.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box), np.float32)


# --- floats and bytes --------------------------------------------------------------------------


def to_bytes(pixels: Floats) -> Bytes:
    """[0, 1] -> 0..255, rounding halves up; any shape."""
    levels = pixels * np.float32(255)
    levels += np.float32(0.5)
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)  # which cuts off: the floor of what is not negative


def from_bytes(pixels: Bytes) -> Floats:
    """0..255 -> [0, 1]; the inverse of `to_bytes`."""
    return pixels.astype(np.float32) / np.float32(255)
