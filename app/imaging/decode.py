"""Decode uploaded PNG and JPEG files, which may be damaged or hostile, to pixels."""

import io

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from app.errors import CorruptImageError, EmptyImageError, NotAnImageError, TooManyPixelsError
from model_store.preprocessing import DecodedImage, from_pillow


def decode_upload(content: bytes, *, max_pixels: int) -> DecodedImage:
    """Decode a PNG or JPEG file; the image is upright and without transparency.

    The format is read from the content, and the number of pixels from the header, before anything
    is decoded. Raises EmptyImageError, NotAnImageError, CorruptImageError, TooManyPixelsError.
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
        return from_pillow(image)
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
            f"the limit is {max_pixels}",
            limit=max_pixels,
            remedy="make the image smaller; the models see at most a few thousand pixels",
        )


def _corrupt(error: Exception) -> CorruptImageError:
    """Return CorruptImageError for any exception that a decoder raised on damaged bytes."""
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return CorruptImageError(
        f"the image is damaged or incomplete: {reason}", remedy="send the whole file again"
    )
