"""The formats of uploaded images: recognise them by content, and open them with Pillow."""

import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

NAMES = "PNG, JPEG, WebP, AVIF, HEIC or GIF"
MEDIA_TYPES = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/avif",
    "image/heic",
    "image/heif",
    "image/gif",
)
"""Media types of files that can be opened; the content decides, whichever of them is stated."""

_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_LONGEST_FTYP = 256


@dataclass(frozen=True)
class Format:
    """A format of images, its name, and the function that opens a file without decoding pixels."""

    name: str
    open: Callable[[io.BytesIO], ImageFile.ImageFile]


def _open_heif(file: io.BytesIO) -> ImageFile.ImageFile:
    # Imported late: only processes that decode such a file need the library.
    from pi_heif import HeifImageFile, options  # noqa: PLC0415

    options.DECODE_THREADS = 1
    image: ImageFile.ImageFile = HeifImageFile(file)
    return image


PNG = Format("PNG", PngImageFile)
JPEG = Format("JPEG", JpegImageFile)
WEBP = Format("WebP", WebPImageFile)
AVIF = Format("AVIF", AvifImageFile)
HEIF = Format("HEIC", _open_heif)
GIF = Format("GIF", GifImageFile)


def recognise(content: bytes) -> Format | None:
    """Return the format that the first bytes of a file have, or None."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if content.startswith(b"\xff\xd8\xff"):
        return JPEG
    if content.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return WEBP
    if content[4:8] == b"ftyp":
        return _by_brand(content)
    return None


def _by_brand(content: bytes) -> Format | None:
    """Return the format of a file in boxes, ISO/IEC 14496-12, section 4.3."""
    box = content[: min(int.from_bytes(content[:4], "big"), _LONGEST_FTYP)]
    brands = {box[8:12], *(box[i : i + 4] for i in range(16, len(box), 4))}
    if brands & _AVIF_BRANDS:
        return AVIF
    return HEIF if brands & _HEIF_BRANDS else None
