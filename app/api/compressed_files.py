"""Bodies of /compress and /decompress: their content types, and the header of a compressed file."""

from app.settings import Settings
from app.typing import Bytes
from model_store.compression.container import Header, read_header
from model_store.errors import DamagedFileError, InvalidReferenceError, TooManyImagesError
from model_store.spec import ModelRef

MEDIA_TYPE = "application/vnd.zserve.images"
SUFFIX = "zsi"
IMAGE_TYPES = (
    "image/png",
    "image/jpeg",
    "application/x-npy",
    "application/x-npz",
    "application/octet-stream",
)
"""Content types of bodies that are one file of images."""
FILE_TYPES = (MEDIA_TYPE, "application/octet-stream")
"""Content types of bodies that are one compressed file."""
HOW_TO_SEND_IMAGES = (
    "send PNG files in the field image of a multipart form (curl -F image=@a.png -F image=@b.png), "
    "or one PNG, npy or npz as image/png, application/x-npy or application/x-npz"
)
HOW_TO_SEND_A_FILE = (
    f"send the file as {MEDIA_TYPE}, or in the field file of a multipart form "
    f"(curl -F file=@images.{SUFFIX})"
)


def read_file_header(content: bytes, settings: Settings) -> tuple[Header, str]:
    """Return the header of a compressed file and its model, `name@version`.

    Raises CompressedFileError.
    """
    header = read_header(content)
    most = settings.max_compressed_images
    if header.images > most:
        raise TooManyImagesError(
            f"the file holds {header.images} images; at most {most} are allowed at once"
        )
    try:
        ref = ModelRef.parse(header.model)
    except InvalidReferenceError as error:
        raise DamagedFileError(f"the file names no model: {error}") from error
    if ref.version is None:
        raise DamagedFileError("the file names no version of a model")
    return header, str(ref)


def bits_per_dimension(content: bytes, levels: Bytes) -> float:
    """Return the bits of a file for each value of its images."""
    return 8 * len(content) / levels.size
