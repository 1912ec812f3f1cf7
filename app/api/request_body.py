"""Bodies of requests: forms, raw images and latents, and what the model sees in them."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from app.api.schemas import Latents
from app.errors import (
    LimitError,
    MalformedBodyError,
    ParameterError,
    UnsupportedBodyError,
    UploadError,
    WrongFieldError,
)
from app.imaging.decode import decode_upload
from app.settings import Settings
from model_store.errors import ImageError
from model_store.preprocessing import Preprocess, prepare
from model_store.spec import ModelSpec

RAW_IMAGES = ("image/png", "image/jpeg", "image/jpg")


@dataclass(frozen=True)
class Upload:
    """One image as it was sent, and what to call it in a message."""

    name: str
    content: bytes


Uploads = Mapping[str, Sequence[Upload]]


async def read_uploads(request: Request, fields: Sequence[str], settings: Settings) -> Uploads:
    """Field -> the images sent in it; fields without any are left out.

    A raw image counts as the field `image`, where there is one. Raises UploadError.
    """
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "multipart/form-data":
        form = await _parse_form(request, settings)
        try:
            return await _read_form(form, fields)
        finally:
            await form.close()
    content = await request.body()
    if content_type in RAW_IMAGES and "image" in fields:
        return {"image": [Upload("the image", content)]}
    if content:
        raise UnsupportedBodyError(
            f"a body of type {content_type[:80] or 'unknown'!r} is not read here",
            remedy=_how_to_send(fields),
        )
    return {}


def missing(fields: Sequence[str]) -> WrongFieldError:
    """The error for a form that lacks an image."""
    return WrongFieldError(f"there is no {fields[0]} in the body", remedy=_how_to_send(fields))


async def read_latents(request: Request, latent: int) -> NDArray[np.float32]:
    """z of a JSON body {"z": [[...], ...]}; (batch, latent), finite.

    Raises UnsupportedBodyError, MalformedBodyError, ParameterError.
    """
    remedy = f'send JSON such as {{"z": [[...], ...]}}, each row {latent} finite numbers'
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise UnsupportedBodyError(
            f"a body of type {content_type[:80] or 'unknown'!r} is not read here",
            remedy=f"{remedy}, as application/json",
        )
    try:
        rows = Latents.model_validate_json(await request.body()).z
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        if first["type"] == "json_invalid":
            raise MalformedBodyError(
                f"the body is no JSON: {first['msg']}", remedy=remedy
            ) from error
        raise ParameterError(f"{place or 'the body'}: {first['msg']}", remedy=remedy) from error
    for i, row in enumerate(rows):
        if len(row) != latent:
            raise ParameterError(
                f"z.{i} has {len(row)} numbers, the model has {latent} latent dimensions",
                limit=latent,
                remedy=remedy,
            )
    with np.errstate(over="ignore"):
        z = np.array(rows, np.float32)
    if not np.isfinite(z).all():
        raise ParameterError("z has numbers that are too large for float32", remedy=remedy)
    return z


async def see(
    uploads: Sequence[Upload], spec: ModelSpec, preprocess: Preprocess, settings: Settings
) -> NDArray[np.float32]:
    """What the model sees: (batch, channels, height, width) in [0, 1].

    Raises UploadError, ImageError.
    """
    return await asyncio.to_thread(_see, uploads, spec, preprocess, settings.max_pixels)


def _see(
    uploads: Sequence[Upload], spec: ModelSpec, preprocess: Preprocess, max_pixels: int
) -> NDArray[np.float32]:
    seen = []
    for upload in uploads:
        try:
            image = decode_upload(upload.content, max_pixels=max_pixels)
            seen.append(prepare(image, spec, preprocess))
        except UploadError as error:
            raise type(error)(
                f"{upload.name}: {error}", limit=error.limit, remedy=error.remedy
            ) from error
        except ImageError as error:
            raise type(error)(f"{upload.name}: {error}") from error
    return np.stack(seen)


async def _parse_form(request: Request, settings: Settings) -> FormData:
    try:
        return await request.form(max_files=settings.max_images, max_fields=settings.max_images)
    except HTTPException as error:
        if str(error.detail).startswith("Too many"):
            raise LimitError(
                f"the form has more than {settings.max_images} parts",
                limit=settings.max_images,
                remedy="send the images in several requests",
            ) from error
        raise MalformedBodyError(
            f"the multipart form is damaged: {error.detail}",
            remedy="let your HTTP library write the form, its boundary included",
        ) from error


async def _read_form(form: FormData, fields: Sequence[str]) -> Uploads:
    uploads: dict[str, list[Upload]] = {}
    for field, part in form.multi_items():
        if field not in fields:
            raise WrongFieldError(
                f"the form has an unknown field {field[:80]!r}", remedy=_how_to_send(fields)
            )
        if not isinstance(part, UploadFile):
            raise WrongFieldError(f"{field} is text and no file", remedy=_how_to_send(fields))
        if not part.filename and not part.size:
            continue  # a browser sends a file input that was left empty
        images = uploads.setdefault(field, [])
        images.append(Upload(f"{field} {len(images) + 1}", await part.read()))
    return uploads


def _how_to_send(fields: Sequence[str]) -> str:
    form = " ".join(f"-F {field}=@{field}.png" for field in fields)
    raw = ", or the image itself as image/png or image/jpeg" if "image" in fields else ""
    return f"send a multipart form with a file in {' and '.join(fields)} (curl {form}){raw}"
