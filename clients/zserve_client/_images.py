"""Image files: encode what a caller sends, decode what the service returns.

All functions but `png_parameters` need Pillow and numpy, which the extra `images` installs.
"""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zserve_client.errors import InputError, MissingExtraError, UnexpectedAnswerError

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    ImageSource: TypeAlias = bytes | str | os.PathLike[str] | Image | NDArray[np.uint8]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_NAME = re.compile(r"\d+\.png")
PADDING = 2
"""Pixels between the images of a grid, before the grid is enlarged."""


def png_parameters(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object in the text chunk `parameters` of a PNG, or None without one."""
    for chunk_type, data in _png_chunks(content):
        keyword, _, text = data.partition(b"\0")
        if chunk_type == b"tEXt" and keyword == b"parameters":
            parameters = json.loads(text)
            return parameters if isinstance(parameters, dict) else None
    return None


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of each chunk (W3C PNG, third edition, section 5.3)."""
    offset = len(PNG_SIGNATURE)
    while content.startswith(PNG_SIGNATURE) and offset + 8 <= len(content):
        size, chunk_type = struct.unpack_from(">I4s", content, offset)
        yield chunk_type, content[offset + 8 : offset + 8 + size]
        offset += size + 12


def image_file(source: ImageSource, name: str) -> tuple[str, bytes]:
    """Return the name and content of an image file; raises InputError and MissingExtraError.

    Takes the content of a file, its path, a Pillow image, or a uint8 array (height, width[, 3]).
    """
    if isinstance(source, bytes):
        return f"{name}.png", source
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
    image: Any = source
    if hasattr(image, "__array_interface__") and not hasattr(image, "save"):
        image = _from_array(image)
    if not hasattr(image, "save"):
        raise InputError(
            f"{type(source).__name__} is not an image; send bytes, a path, a Pillow image or an array"
        )
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"{name}.png", file.getvalue()


def _from_array(array: NDArray[Any]) -> Image:
    require("PIL")
    from PIL import Image  # noqa: PLC0415 - an extra

    if array.dtype != "uint8" or array.ndim not in {2, 3}:
        raise InputError(
            f"an array of {array.dtype} and shape {array.shape} is not an image; "
            "send uint8, (height, width) or (height, width, 3)"
        )
    return Image.fromarray(array)


def images_upload(images: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Return name and content of an npy file with images (n, height, width[, 3]); raises InputError."""
    require("numpy")
    import numpy as np  # noqa: PLC0415 - an extra

    if images.dtype != "uint8":
        raise InputError(f"an array of {images.dtype} is no images; send uint8")
    file = io.BytesIO()
    np.save(file, images, allow_pickle=False)
    return "images.npy", file.getvalue()


def archived_pngs(content: bytes) -> dict[str, bytes]:
    """Return name -> content of the PNG files 000000.png and so on of a zip archive.

    Raises UnexpectedAnswerError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = sorted(name for name in archive.namelist() if PNG_NAME.fullmatch(name))
            return {name: archive.read(name) for name in names}
    except zipfile.BadZipFile as error:
        raise UnexpectedAnswerError(f"the archive of the service is damaged: {error}") from error


def open_image(content: bytes) -> Image:
    """Decode an image file; raises MissingExtraError."""
    require("PIL")
    from PIL import Image  # noqa: PLC0415 - an extra

    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def open_frames(content: bytes) -> list[Image]:
    """Decode the frames of a GIF or APNG; raises MissingExtraError."""
    require("PIL")
    from PIL import ImageSequence  # noqa: PLC0415 - an extra

    image = open_image(content)
    mode = "L" if image.mode in {"L", "P"} and _is_grey(image) else "RGB"
    return [frame.convert(mode) for frame in ImageSequence.Iterator(image)]


def _is_grey(image: Image) -> bool:
    palette = image.getpalette()
    return palette is None or palette[0::3] == palette[1::3] == palette[2::3]


def split_grid(grid: Image, n: int, columns: int, scale: int = 1) -> list[Image]:
    """Return the n images of a grid, row by row. A grid of one image has no padding."""
    if n == 1:
        return [grid]
    columns, padding = min(columns, n), PADDING * scale
    rows = -(-n // columns)
    step_x, step_y = (grid.width - padding) // columns, (grid.height - padding) // rows
    corners = [(padding + i % columns * step_x, padding + i // columns * step_y) for i in range(n)]
    width, height = step_x - padding, step_y - padding
    return [grid.crop((x, y, x + width, y + height)) for x, y in corners]


def as_array(images: Sequence[Image]) -> NDArray[np.uint8]:
    """Stack images: (n, height, width) if they are grey, (n, height, width, 3) in colour."""
    require("numpy")
    import numpy as np  # noqa: PLC0415 - an extra

    return cast("NDArray[np.uint8]", np.stack([np.asarray(image, np.uint8) for image in images]))


def require(module: str) -> None:
    """Raise MissingExtraError if a module of the extra cannot be imported."""
    try:
        __import__(module)
    except ImportError as error:
        package = {"PIL": "Pillow"}.get(module, module)
        raise MissingExtraError(
            f"this needs {package}, which is not installed: pip install 'zserve-client[images]'"
        ) from error
