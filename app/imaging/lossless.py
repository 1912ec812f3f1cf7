"""Read uploads whose grey levels must all be kept: images and arrays of the model's size."""

import io
import math
import zipfile

import numpy as np
from numpy.typing import NDArray

from app.errors import (
    CorruptImageError,
    EmptyImageError,
    ImageSizeError,
    LimitError,
    WrongPixelsError,
)
from app.imaging.decode import decode_pixels, open_upload
from app.typing import Bytes, Floats
from model_store.preprocessing import DecodedImage, from_bytes, to_bytes

Shape = tuple[int, int, int]
"""(channels, height, width) of one image."""

NPY = b"\x93NUMPY"
ZIP = b"PK\x03\x04"
_LONGEST_HEADER = 2**14
_MOST_DIMENSIONS = 4
_LONGEST_SIDE = 2**31
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Methods of compression of an npz. Of the others, zipfile decompresses all that it has read, however
much that is."""
_IMAGES = "images.npy"


def read_levels(content: bytes, shape: Shape, *, most_images: int, max_pixels: int) -> Bytes:
    """Return the images of an image, npy or npz file as grey levels; (images, *shape).

    Raises UploadError, LimitError.
    """
    if content.startswith(NPY):
        return _array_levels(content, shape, most_images)
    if content.startswith(ZIP):
        largest = _LONGEST_HEADER + most_images * math.prod(shape)
        return _array_levels(_member(content, largest), shape, most_images)
    image = open_upload(content, max_pixels=max_pixels)
    if sorted(image.size) != sorted(shape[1:]):  # before anything is decoded, or turned by its EXIF
        raise _wrong_size(f"the image is {image.width}x{image.height}", shape)
    return _image_levels(decode_pixels(image), shape)[None]


def _image_levels(image: DecodedImage, shape: Shape) -> Bytes:
    """Return the grey levels of an image, (channels, height, width), if none of them changes."""
    channels, height, width = shape
    pixels = image.pixels
    if pixels.shape[:2] != (height, width):
        raise _wrong_size(f"the image is {pixels.shape[1]}x{pixels.shape[0]}", shape)
    levels = _eight_bits(pixels)
    if levels.ndim == 2:
        return np.broadcast_to(levels, shape)
    if channels == 1:
        if (levels != levels[..., :1]).any():
            raise WrongPixelsError(
                "the image has colours, which the model would lose",
                remedy="save it in grey, or choose a model of colour images",
            )
        return levels[..., 0][None]
    return np.moveaxis(levels, 2, 0)


def _eight_bits(pixels: Bytes | Floats) -> Bytes:
    """Return 0..255, from [0, 1] if that is what the pixels are and 8 bits hold them."""
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    levels = to_bytes(pixels.astype(np.float32, copy=False))
    if not np.array_equal(from_bytes(levels), pixels):
        raise WrongPixelsError(
            "the image has more than 8 bits or transparent pixels, which would be lost",
            remedy="save it with 8 bits and without transparency",
        )
    return levels


def _array_levels(content: bytes, shape: Shape, most_images: int) -> Bytes:
    """Return the array of an npy file; its header is checked before anything is read."""
    file = io.BytesIO(content)
    dimensions, fortran, dtype = _header(file)
    if dtype != np.uint8:
        raise WrongPixelsError(
            f"the array has values of type {str(dtype)[:40]}, not uint8",
            remedy="send grey levels 0 to 255",
        )
    if len(dimensions) > _MOST_DIMENSIONS:
        raise _wrong_size(f"the array has {len(dimensions)} dimensions", shape)
    if not all(0 <= size <= _LONGEST_SIDE for size in dimensions):
        raise _damaged(ValueError("the shape of its header is not possible"))
    if len(dimensions) > 1 and dimensions[0] > most_images:
        raise LimitError(
            f"the array has {dimensions[0]} images, at most {most_images} are allowed",
            limit=most_images,
            remedy="send several files; the operator can raise ZSERVE_MAX_COMPRESSED_IMAGES",
        )
    values = np.frombuffer(file.read(), np.uint8)
    if math.prod(dimensions) != len(values):
        raise CorruptImageError(
            f"the array is incomplete: {len(values)} values of {math.prod(dimensions)}",
            remedy="send the whole file again",
        )
    return _as_images(values.reshape(dimensions, order="F" if fortran else "C"), shape)


def _header(file: io.BytesIO) -> tuple[tuple[int, ...], bool, "np.dtype[np.generic]"]:
    """Return shape, order and type of an npy file; raises CorruptImageError."""
    try:
        version = np.lib.format.read_magic(file)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        dimensions, fortran, dtype = read(file)
        return tuple(map(int, dimensions)), fortran, dtype
    except Exception as error:  # numpy reads the header as Python source, which fails in many ways
        raise _damaged(error) from error


def _as_images(array: NDArray[np.uint8], shape: Shape) -> Bytes:
    """Return (n, c, h, w) from that shape, from (n, h, w, c), or from (n, h, w) if c is 1."""
    channels, height, width = shape
    if array.ndim == 3 and channels == 1:
        array = array[:, None]
    elif array.shape[1:] != shape and array.shape[1:] == (height, width, channels):
        array = np.moveaxis(array, 3, 1)
    if array.shape[1:] != shape:
        raise _wrong_size(f"the array has the shape {array.shape}", shape)
    if not len(array):
        raise EmptyImageError("the array has no images", remedy="send at least one image")
    return np.ascontiguousarray(array)


def _member(content: bytes, largest: int) -> bytes:
    """Return the array `images` of an npz file, or its only array; at most `largest` bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            name = _IMAGES if _IMAGES in names else names[0]
            if archive.getinfo(name).compress_type not in _METHODS:
                raise ValueError("it is compressed by another method than deflate")  # noqa: TRY301
            with archive.open(name) as file:
                array = file.read(largest)
    except Exception as error:  # zipfile raises many kinds for damaged bytes
        raise _damaged(error) from error
    if name != _IMAGES and len(names) > 1:
        raise WrongPixelsError(
            f"the npz has {len(names)} arrays, none of them called images",
            remedy="call the array of images `images`",
        )
    return array


def _wrong_size(what: str, shape: Shape) -> ImageSizeError:
    channels, height, width = shape
    kind = "grey" if channels == 1 else "RGB"
    return ImageSizeError(
        f"{what}, the model takes {width}x{height} pixels in {kind}",
        remedy="choose the model that the images belong to; images are never resized here",
    )


def _damaged(error: Exception) -> CorruptImageError:
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return CorruptImageError(
        f"the array is damaged or incomplete: {reason}", remedy="send the whole file again"
    )
