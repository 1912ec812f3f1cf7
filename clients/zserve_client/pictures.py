"""Bytes of pictures: what they say about themselves, opened, cut apart, and made from other things.

Only the first needs nothing; the others need the extra `images`, which is Pillow and numpy.
"""

from __future__ import annotations

import io
import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from zserve_client.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Source: TypeAlias = bytes | str | os.PathLike[str] | Image | NDArray[np.uint8]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PADDING = 2
"""Pixels between the images of a grid, before it is enlarged."""


def png_parameters(content: bytes) -> dict[str, Any] | None:
    """What a PNG says about how to get it again: its text chunk `parameters`; None without one."""
    for kind, data in _chunks(content):
        keyword, _, text = data.partition(b"\0")
        if kind == b"tEXt" and keyword == b"parameters":
            found = json.loads(text)
            return found if isinstance(found, dict) else None
    return None


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk; W3C PNG, third edition, section 5.3."""
    at = len(_SIGNATURE)
    while content.startswith(_SIGNATURE) and at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        yield kind, content[at + 8 : at + 8 + size]
        at += size + 12


def as_file(source: Source, name: str) -> tuple[str, bytes]:
    """Name and bytes of an image file; raises InputError and MissingExtraError.

    Takes the bytes of a file, its path, a Pillow image, or a uint8 array (height, width[, 3]).
    """
    if isinstance(source, bytes):
        return f"{name}.png", source
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            return path.name, path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
    found: Any = source
    if hasattr(found, "__array_interface__") and not hasattr(found, "save"):
        found = _from_array(found)
    if not hasattr(found, "save"):
        raise InputError(
            f"{type(source).__name__} is no image; send bytes, a path, a Pillow image or an array"
        )
    file = io.BytesIO()
    found.save(file, "PNG")
    return f"{name}.png", file.getvalue()


def _from_array(array: NDArray[Any]) -> Image:
    need("PIL")
    from PIL import Image  # noqa: PLC0415 - an extra

    if array.dtype != "uint8" or array.ndim not in {2, 3}:
        raise InputError(
            f"an array of {array.dtype} and shape {array.shape} is no image; "
            "send uint8, (height, width) or (height, width, 3)"
        )
    return Image.fromarray(array)


def open_image(content: bytes) -> Image:
    """A picture as Pillow sees it; raises MissingExtraError."""
    need("PIL")
    from PIL import Image  # noqa: PLC0415 - an extra

    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def frames(content: bytes) -> list[Image]:
    """The frames of a GIF or APNG."""
    need("PIL")
    from PIL import ImageSequence  # noqa: PLC0415 - an extra

    image = open_image(content)
    mode = "L" if image.mode in {"L", "P"} and _is_grey(image) else "RGB"
    return [frame.convert(mode) for frame in ImageSequence.Iterator(image)]


def _is_grey(image: Image) -> bool:
    palette = image.getpalette()
    return palette is None or palette[0::3] == palette[1::3] == palette[2::3]


def cut(grid: Image, n: int, columns: int, scale: int = 1) -> list[Image]:
    """The n images of a grid, left to right and top to bottom; one alone has no padding."""
    if n == 1:
        return [grid]
    columns, padding = min(columns, n), PADDING * scale
    rows = -(-n // columns)
    step_x, step_y = (grid.width - padding) // columns, (grid.height - padding) // rows
    corners = [(padding + i % columns * step_x, padding + i // columns * step_y) for i in range(n)]
    width, height = step_x - padding, step_y - padding
    return [grid.crop((x, y, x + width, y + height)) for x, y in corners]


def as_array(images: Sequence[Image]) -> NDArray[np.uint8]:
    """(n, height, width) of grey images, (n, height, width, 3) of coloured ones."""
    need("numpy")
    import numpy as np  # noqa: PLC0415 - an extra

    return cast("NDArray[np.uint8]", np.stack([np.asarray(image, np.uint8) for image in images]))


def need(module: str) -> None:
    """Raise MissingExtraError unless a module of the extra is there."""
    try:
        __import__(module)
    except ImportError as error:
        package = {"PIL": "Pillow"}.get(module, module)
        raise MissingExtraError(
            f"this needs {package}, which is not installed: pip install 'zserve-client[images]'"
        ) from error
