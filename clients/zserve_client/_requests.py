"""The requests that the clients send, and the conversion of arguments to parameters and uploads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast
from urllib.parse import quote

from zserve_client._images import image_file, images_upload
from zserve_client._results import CompressedImages, Encodings, ImageFile
from zserve_client.errors import InputError

if TYPE_CHECKING:
    import os

    from zserve_client._images import ImageSource

Preprocess: TypeAlias = Literal["auto", "none"]
Upload: TypeAlias = tuple[str, tuple[str, bytes]]
"""A form field, and the name and content of its file."""

DOWNLOAD_FORMATS = ("zip", "npz", "png", "json")
"""Formats of a downloaded file, chosen by its suffix."""
FILE_ONLY_PARAMETERS = ("metadata", "columns", "frame_ms", "loop", "bounce")
"""Parameters that describe an image file and that a request for JSON does not take."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One HTTP request.

    Attributes:
        save_to: File to which the body of a successful answer is streamed, or None.
        retry: True if the request may be repeated when the service is busy.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Upload] = ()
    json: Any = None
    save_to: Path | None = None
    retry: bool = True


MODELS = Request(method="GET", path="/models")
LIVE = Request(method="GET", path="/healthz", retry=False)
READY = Request(method="GET", path="/readyz", retry=False)


def post(
    path: str, *params: Mapping[str, object], files: Sequence[Upload] = (), json: Any = None
) -> Request:
    """Return a POST request; parameters that are None are left out."""
    query = {
        name: _text(value) for group in params for name, value in group.items() if value is not None
    }
    return Request(method="POST", path=path, params=query, files=files, json=json)


def _text(value: object) -> str:
    """Convert a parameter; the items of a list are joined by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(str(item) for item in value)
    return str(value)


def as_json_request(request: Request, image: ImageFile) -> Request:
    """Return the request for the JSON document of an image: same weights, same seed."""
    params = {**request.params, "model": image.model, "format": "json"}
    if image.seed is not None:
        params["seed"] = str(image.seed)
    for name in FILE_ONLY_PARAMETERS:
        params.pop(name, None)
    return replace(request, params=params)


def uploads(images: ImageSource | Sequence[ImageSource]) -> list[Upload]:
    """Return the uploads of one image or of several."""
    sources = list(images) if isinstance(images, list | tuple) else [cast("ImageSource", images)]
    return [("image", image_file(image, f"image-{i}")) for i, image in enumerate(sources, 1)]


def images_to_compress(images: Any) -> list[Upload]:
    """Return the uploads of images; an array (n, height, width[, 3]) is one upload."""
    if hasattr(images, "__array_interface__") and not hasattr(images, "save") and images.ndim > 2:
        return [("image", images_upload(images))]
    return uploads(images)


def compressed_file(file: CompressedImages | bytes | str | os.PathLike[str]) -> Upload:
    """Return the upload of a compressed file; raises InputError if it cannot be read."""
    if isinstance(file, CompressedImages):
        file = file.content
    if isinstance(file, bytes):
        return "file", ("images.zsi", file)
    path = Path(file)
    try:
        return "file", (path.name, path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def seed_or_upload(field: str, start: ImageSource | int | None) -> tuple[int | None, list[Upload]]:
    """Return the seed or the upload that an argument stands for."""
    if start is None or isinstance(start, int):
        return start, []
    return None, [(field, image_file(start, field))]


def seed_or_uploads(
    start: ImageSource | Sequence[ImageSource] | int,
) -> tuple[int | None, list[Upload]]:
    """Return the seed or the uploads that an argument stands for."""
    return (start, []) if isinstance(start, int) else (None, uploads(start))


def latent_rows(z: Any) -> list[list[float]]:
    """Return latents as rows of numbers; takes rows, a single row, Encodings or an array."""
    if isinstance(z, Encodings):
        return z.mu
    rows = z.tolist() if hasattr(z, "tolist") else list(z)
    return [rows] if rows and not isinstance(rows[0], Sequence) else [list(row) for row in rows]


def download_format(path: Path) -> str:
    """Return the format for a file to download; raises InputError if it cannot be written."""
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in DOWNLOAD_FORMATS:
        raise InputError(f"{path} has none of the suffixes {', '.join(DOWNLOAD_FORMATS)}")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}")
    return suffix


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` at the end, or is deleted after an error."""
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def version_request(ref: str) -> Request:
    """Return the request for `name`, `name@version` or `name@alias`."""
    name, _, version = ref.partition("@")
    return Request(method="GET", path=_path("models", name, version or "production"))


def figure_request(model: str, version: int, figure: str) -> Request:
    """Return the request for a figure of a version."""
    return Request(method="GET", path=_path("models", model, version, "figures", f"{figure}.png"))


def alias_request(model: str, alias: str, version: int) -> Request:
    """Return the request that points an alias at a version."""
    path = _path("models", model, "aliases", alias)
    return Request(method="PUT", path=path, json={"version": version})


def _path(*segments: object) -> str:
    """Join segments to a path; a slash in a segment is escaped."""
    return "".join(f"/{quote(str(segment), safe='')}" for segment in segments)
