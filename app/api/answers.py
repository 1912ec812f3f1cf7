"""Answers: which form, which headers, and images as pictures, numbers or archives."""

import asyncio
import base64
import hashlib
import importlib.metadata
import json as json_lines
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api.schemas import ModelQuery, PictureQuery, Pixels, at_most
from app.errors import NotAcceptableError
from app.imaging import formats
from app.inference.loaded_model import LoadedModel
from app.sampling import latents
from app.settings import Settings
from model_store.preprocessing import to_bytes
from model_store.vae import ARITHMETIC

Floats = NDArray[np.float32]
T = TypeVar("T")

MEDIA_TYPES = {
    "png": "image/png",
    "json": "application/json",
    "zip": "application/zip",
    "npz": "application/x-npz",
    "gif": "image/gif",
    "apng": "image/apng",
}
_FILES = ("zip", "npz")
"""Formats that a browser should save and not show."""

_MANY_PIXELS = 500_000
"""From here on encoding goes to a thread, so that other requests need not wait for it."""
_COMPUTED_BY = f"{ARITHMETIC}-torch-{importlib.metadata.version('torch')}"
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True)
class Form:
    """How a client wants its answer."""

    format: str
    scale: int = 1
    pixels: bool = False
    metadata: bool = True


# --- what the client wants ---------------------------------------------------------------------


def choose_form(request: Request, query: ModelQuery) -> Form:
    """The form of the answer to a query; raises NotAcceptableError."""
    wanted = choose_format(request, query.format, query.FORMATS)
    if isinstance(query, PictureQuery):
        return Form(wanted, query.scale, query.pixels, query.metadata)
    return Form(wanted, metadata=query.metadata)


def choose_format(request: Request, wish: str | None, offered: Sequence[str]) -> str:
    """The format that was asked for by name, else the one that Accept likes best.

    The first of those offered wins a tie. Raises NotAcceptableError.
    """
    if wish is not None:
        return wish
    best = _best(request.headers.get("accept") or "*/*", tuple(offered))
    if best is None:
        raise NotAcceptableError(
            f"none of {', '.join(offered)} is acceptable to this client",
            remedy=f"accept {MEDIA_TYPES[offered[0]]}, or choose with format=",
        )
    return best


@lru_cache(maxsize=256)
def _best(accept: str, offered: tuple[str, ...]) -> str | None:
    """What the header likes best of what is offered; None where it accepts none of it."""
    accepted = _accepted(accept)
    best = max(offered, key=lambda name: _quality(MEDIA_TYPES[name], accepted))
    return best if _quality(MEDIA_TYPES[best], accepted) > 0 else None


def _accepted(header: str) -> dict[str, float]:
    """Media range -> quality, RFC 9110 section 12.5.1; what cannot be read counts as 1."""
    ranges = {}
    for item in header.lower().split(","):
        media_range, *options = (part.strip() for part in item.split(";"))
        quality = next((o[2:] for o in options if o.startswith("q=")), "1")
        try:
            ranges[media_range] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            ranges[media_range] = 1.0
    return ranges


def _quality(media_type: str, accepted: Mapping[str, float]) -> float:
    """The most specific range decides."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((accepted[name] for name in ranges if name in accepted), 0.0)


def check_size(n: int, model: LoadedModel, form: Form, settings: Settings) -> None:
    """Raise LimitError where n images at this scale are more pixels than an answer may have."""
    _, height, width = model.manifest.spec.image.shape
    at_most(
        "the number of pixels at this scale",
        n * height * width * form.scale**2,
        settings.max_answer_pixels,
        "ZSERVE_MAX_ANSWER_PIXELS",
    )


# --- what an answer says about itself ----------------------------------------------------------


def provenance(model: LoadedModel) -> dict[str, str]:
    """Which weights made an answer."""
    return {"model": str(model.ref), "weights_sha256": model.manifest.weights_sha256}


def parameters(endpoint: str, model: LoadedModel, **asked: object) -> dict[str, object]:
    """What a picture says about how to get it again; what is None is left out."""
    given = {name: value for name, value in asked.items() if value is not None}
    return {"endpoint": endpoint, **provenance(model), **given}


def of_latent(model: LoadedModel, z: Floats) -> dict[str, object]:
    """The same of the image that one latent is decoded to; z (latent,)."""
    return parameters("/decode", model, n=1, columns=1, z=[z.tolist()])


def headers(model: LoadedModel, seed: int | None = None) -> dict[str, str]:
    """Which weights and which seed."""
    found = {"X-Model": str(model.ref), "X-Weights-SHA256": model.manifest.weights_sha256}
    return found if seed is None else found | {"X-Seed": str(seed)}


def etag(model: LoadedModel, form: Form, facts: Mapping[str, object]) -> str:
    """The name of the bytes that these facts lead to, known before they are made."""
    versions = (formats.VERSION, latents.GENERATOR, _COMPUTED_BY, model.device)
    meant = json_lines.dumps([versions, vars(form), facts], sort_keys=True)
    return f'"{hashlib.sha256(meant.encode()).hexdigest()[:32]}"'


def caching(tag: str | None, *, pinned: bool) -> dict[str, str]:
    """Headers for caches: a pinned version never changes, an alias may; a drawn seed is new."""
    if tag is None:
        return {"Cache-Control": "no-store"}
    lifetime = "max-age=31536000, immutable" if pinned else "no-cache"
    return {"ETag": tag, "Cache-Control": lifetime, "Vary": "Accept"}


def is_known(request: Request, tag: str) -> bool:
    """Whether the client has these bytes already: If-None-Match, RFC 9110 section 13.1.2."""
    held = ",".join(request.headers.getlist("if-none-match")).strip()
    return held == "*" or tag in _ETAG.findall(held)


# --- answers -----------------------------------------------------------------------------------


async def png(
    pixels: Floats,
    columns: int,
    model: LoadedModel,
    form: Form,
    *,
    parameters: Mapping[str, object],
    seed: int | None = None,
) -> Response:
    """All images in one PNG, laid out as a grid."""
    said = parameters if form.metadata else None
    return await _file(
        form, model, pixels.size, seed, lambda: grid_png(pixels, columns, form, said)
    )


async def moving(
    pixels: Floats,
    model: LoadedModel,
    form: Form,
    *,
    frame_ms: int,
    loop: bool,
    bounce: bool,
    parameters: Mapping[str, object],
) -> Response:
    """All images one after the other, as GIF or APNG."""

    def encode() -> bytes:
        frames = formats.enlarge(to_bytes(pixels), form.scale)
        return (formats.encode_gif if form.format == "gif" else formats.encode_apng)(
            formats.back_and_forth(frames) if bounce else frames,
            frame_ms=frame_ms,
            loop=loop,
            parameters=parameters if form.metadata else None,
        )

    return await _file(form, model, pixels.size, None, encode)


async def npz(
    model: LoadedModel,
    form: Form,
    *,
    parameters: Mapping[str, object],
    seed: int | None = None,
    images: Mapping[str, Floats],
    **numbers: NDArray[Any] | Sequence[Any] | None,
) -> Response:
    """Images as (batch, height, width[, 3]) of uint8, and numbers, for numpy.load."""

    def encode() -> bytes:
        arrays = {name: formats.channels_last(to_bytes(x)) for name, x in images.items()}
        given = {name: np.asarray(x) for name, x in numbers.items() if x is not None}
        said = {"parameters": np.array(json_lines.dumps(parameters))} if form.metadata else {}
        return formats.encode_npz(arrays | given | said)

    return await _file(form, model, sum(x.size for x in images.values()), seed, encode)


@dataclass(frozen=True)
class Picture:
    """One file of an archive: its name, where it comes from, and its line of the manifest."""

    name: str
    image: Floats
    facts: Mapping[str, object]
    z: Floats | None = None
    """The latent that it was decoded from; None where it is an upload."""


async def archive(
    pictures: Sequence[Picture],
    model: LoadedModel,
    form: Form,
    *,
    parameters: Mapping[str, object],
    seed: int | None = None,
) -> Response:
    """A zip of one PNG for each picture, and manifest.csv.

    A decoded picture is byte for byte what /decode makes of its latent alone.
    """

    def encode() -> bytes:
        archive = formats.ZipWriter()
        parts = []
        columns = [*pictures[0].facts, *(f"z{i}" for i in range(model.latent))]
        lines: list[list[object]] = [["file", *columns]]
        for picture in pictures:
            said = None if picture.z is None else of_latent(model, picture.z)
            levels = formats.enlarge(to_bytes(picture.image), form.scale)
            png = formats.encode_png(levels, said if form.metadata else None)
            parts.append(archive.add(picture.name, png))
            z = () if picture.z is None else map(str, picture.z)
            lines.append([picture.name, *picture.facts.values(), *z])
        parts.append(archive.add("manifest.csv", formats.csv_lines(lines)))
        if form.metadata:
            said_of_all = json_lines.dumps(dict(parameters)).encode()
            parts.append(archive.add("parameters.json", said_of_all))
        return b"".join([*parts, archive.close()])

    pixels = sum(picture.image.size for picture in pictures)
    return await _file(form, model, pixels, seed, encode)


def json(answer: BaseModel, model: LoadedModel, *, seed: int | None = None) -> Response:
    """The same facts as numbers."""
    return Response(
        answer.model_dump_json(), headers=headers(model, seed), media_type=MEDIA_TYPES["json"]
    )


def file_headers(form: Form, model: LoadedModel, seed: int | None) -> dict[str, str]:
    """Those of every answer, and for archives the name to save it under."""
    found = headers(model, seed)
    if form.format in _FILES:
        which = "" if seed is None else f"-seed-{seed}"
        name = f"{model.ref.name}-{model.ref.version}{which}.{form.format}"
        found["Content-Disposition"] = f'attachment; filename="{name}"'
    return found


async def _file(
    form: Form, model: LoadedModel, pixels: int, seed: int | None, encode: Callable[[], bytes]
) -> Response:
    content = await apart(pixels * form.scale**2, encode)
    return Response(
        content,
        headers=file_headers(form, model, seed),
        media_type=MEDIA_TYPES[form.format],
    )


async def apart(size: int, work: Callable[[], T]) -> T:
    """What the function returns; it runs in a thread where it has many pixels to look at."""
    return work() if size < _MANY_PIXELS else await asyncio.to_thread(work)


# --- images in answers -------------------------------------------------------------------------


def grid_png(
    pixels: Floats, columns: int, form: Form, parameters: Mapping[str, object] | None
) -> bytes:
    """A grid of (batch, channels, height, width) in [0, 1], enlarged as the form says."""
    grid = formats.make_grid(to_bytes(pixels), columns)
    return formats.encode_png(formats.enlarge(grid, form.scale), parameters)


def shown(image: Floats, form: Form) -> str | Pixels:
    """One image, (channels, height, width) in [0, 1], for JSON: a PNG in base64, or 0..255."""
    levels = to_bytes(image)
    if form.pixels:
        numbers: Pixels = formats.channels_last(levels).tolist()
        return numbers
    return base64.b64encode(formats.encode_png(formats.enlarge(levels, form.scale))).decode()


def named(image: Floats, form: Form) -> dict[str, Any]:
    """The same under its name: `png` or `pixels`."""
    return {"pixels" if form.pixels else "png": shown(image, form)}


def square(n: int) -> int:
    """Columns of the squarest grid of n images: ceil(sqrt(n))."""
    return math.isqrt(n - 1) + 1
