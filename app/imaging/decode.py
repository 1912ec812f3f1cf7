"""Decode uploaded image files, which may be damaged or hostile, to pixels."""

import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from app.errors import (
    CorruptImageError,
    EmptyImageError,
    NotAnImageError,
    TooComplexImageError,
    TooManyPixelsError,
    UploadError,
)
from app.imaging import formats
from app.imaging.jpeg_scans import has_more_scans
from app.typing import Upload
from model_store.errors import ImageError
from model_store.preprocessing import DecodedImage, from_pillow

MAX_SCANS = 100
"""Largest number of scans of a JPEG. Progressive photos have about 10."""


@dataclass(frozen=True)
class PixelLimits:
    """The largest number of pixels of one image, and of all images of a request together."""

    image: int
    request: int


def decode_upload(content: bytes, *, max_pixels: int) -> DecodedImage:
    """Decode an image file; the image is upright and without transparency.

    The format is read from the content, and the number of pixels from the header, before anything
    is decoded. Raises EmptyImageError, NotAnImageError, CorruptImageError, TooManyPixelsError,
    TooComplexImageError.
    """
    return decode_pixels(open_upload(content, max_pixels=max_pixels))


def open_upload(content: bytes, *, max_pixels: int) -> Image.Image:
    """Open an image file and check its header; nothing is decoded. Raises UploadError."""
    if not content:
        raise EmptyImageError("the image has no bytes", remedy="check the name of the file")
    kind = formats.recognise(content)
    if kind is None:
        raise NotAnImageError(
            f"{len(content)} bytes that begin with {content[:8]!r} are not a {formats.NAMES} file",
            remedy="save the image as PNG or JPEG and send that",
        )
    if kind is formats.JPEG and has_more_scans(content, MAX_SCANS):
        raise TooComplexImageError(
            f"the JPEG has more than {MAX_SCANS} scans",
            limit=MAX_SCANS,
            remedy="open it in an image editor and save it again",
        )
    try:
        image = kind.open(io.BytesIO(content))
    except ImportError as error:
        raise NotAnImageError(
            f"this service cannot read {kind.name} files",
            remedy="save the image as PNG or JPEG; the operator can install pi-heif",
        ) from error
    except Exception as error:
        raise _refusal(error) from error
    _check_pixels(image, max_pixels)
    return image


def open_uploads(uploads: Sequence[Upload], limits: PixelLimits) -> Iterator[Image.Image]:
    """Open all files and check their headers, then yield one after the other.

    Nothing is decoded if one of the headers is refused. Raises UploadError.
    """
    images: deque[Image.Image] = deque()
    pixels = 0
    for upload in uploads:
        with errors_named(upload):
            image = open_upload(upload.content, max_pixels=limits.image)
        images.append(image)
        pixels += image.width * image.height
        if pixels > limits.request:
            raise TooManyPixelsError(
                f"the images of the request have more than {limits.request} pixels",
                limit=limits.request,
                remedy="send the images in several requests, or make them smaller",
            )
    while images:
        yield images.popleft()  # and keep none: a decoded image holds all its pixels


def decode_pixels(image: Image.Image) -> DecodedImage:
    """Decode an opened image file; raises CorruptImageError, TooComplexImageError."""
    try:
        return from_pillow(image)
    except Exception as error:
        raise _refusal(error) from error


@contextmanager
def errors_named(upload: Upload) -> Iterator[None]:
    """Put the name of the upload in front of the messages of UploadError and ImageError."""
    try:
        yield
    except UploadError as error:
        raise type(error)(
            f"{upload.name}: {error}", limit=error.limit, remedy=error.remedy
        ) from error
    except ImageError as error:
        raise type(error)(f"{upload.name}: {error}") from error


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"the image is {width}x{height}, that is {width * height} pixels; "
            f"the limit is {max_pixels}",
            limit=max_pixels,
            remedy="make the image smaller; the models see at most a few thousand pixels",
        )


def _refusal(error: Exception) -> UploadError:
    """Return the error for any exception that a decoder raised."""
    if isinstance(error, MemoryError):
        return too_complex("decoding the image takes too much memory")
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return CorruptImageError(
        f"the image is damaged or incomplete: {reason}", remedy="send the whole file again"
    )


def too_complex(detail: str, limit: float | None = None) -> TooComplexImageError:
    """Return the error for images that cost too much."""
    return TooComplexImageError(
        detail, limit=limit, remedy="make the image smaller, or save it as JPEG and send that"
    )
