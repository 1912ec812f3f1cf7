"""Read request bodies: forms and single images."""

from collections.abc import Mapping, Sequence

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from app.api.limits import at_most
from app.api.multipart import UploadParser, in_pieces
from app.errors import (
    BodyTooLargeError,
    LimitError,
    MalformedBodyError,
    UnsupportedBodyError,
    WrongFieldError,
)
from app.imaging.formats import MEDIA_TYPES
from app.settings import Settings
from app.typing import Upload

IMAGE_TYPES = (*MEDIA_TYPES, "image/jpg")
"""Content types of bodies that are a single image; the last one is no official type."""

Uploads = Mapping[str, Sequence[Upload]]


async def read_uploads(request: Request, fields: Sequence[str], settings: Settings) -> Uploads:
    """Read the uploaded images by form field; fields without images are left out.

    A body that is a single image counts as the field `image`, if the endpoint has that field.
    Raises UploadError.
    """
    content_type = content_type_of(request)
    if content_type == "multipart/form-data":
        remedy = _how_to_send(fields)
        return await _read_form(request, fields, settings.max_images, settings, remedy)
    if content_type in IMAGE_TYPES and "image" in fields:
        return {"image": [Upload("the image", await _read_file(request, settings))]}
    if await _has_body(request):
        raise unsupported_body(content_type, _how_to_send(fields))
    return {}


async def read_images(request: Request, settings: Settings) -> Sequence[Upload]:
    """Read the images of the field `image`; raises UploadError if there are none.

    Raises LimitError if there are too many.
    """
    images = (await read_uploads(request, ["image"], settings)).get("image")
    if not images:
        raise WrongFieldError("the body has no image", remedy=_how_to_send(["image"]))
    at_most("the number of images", len(images), settings.max_images, "ZSERVE_MAX_IMAGES")
    return images


async def read_files(
    request: Request,
    field: str,
    media_types: Sequence[str],
    *,
    most: int,
    settings: Settings,
    remedy: str,
) -> Sequence[Upload]:
    """Read the files of a form field, or a body of one of the media types as one file.

    Raises UploadError, also if there is no file, and LimitError if there are too many.
    """
    content_type = content_type_of(request)
    if content_type == "multipart/form-data":
        files = (await _read_form(request, [field], most, settings, remedy)).get(field, ())
    elif content_type in media_types:
        content = await _read_file(request, settings)
        files = [Upload("the body", content)] if content else ()
    elif await _has_body(request):
        raise unsupported_body(content_type, remedy)
    else:
        files = ()
    if not files:
        raise WrongFieldError("the body has no file", remedy=remedy)
    return files


def content_type_of(request: Request) -> str:
    """Return the media type of the body in lower case, without parameters; empty if none is sent."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unsupported_body(content_type: str, remedy: str) -> UnsupportedBodyError:
    """Return the error for a body of a type that the endpoint does not accept."""
    return UnsupportedBodyError(
        f"this endpoint does not accept a body of type {content_type[:80] or 'unknown'!r}",
        remedy=remedy,
    )


async def _has_body(request: Request) -> bool:
    """Return True if the request has a body; reads no more than its first bytes."""
    async for part in request.stream():
        if part:
            return True
    return False


async def _read_file(request: Request, settings: Settings) -> bytes:
    """Return a body that is one file; raises BodyTooLargeError."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > settings.max_file_bytes:
            raise _too_large("the file", settings)
    return bytes(content)


def _too_large(name: str, settings: Settings) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"{name} has more than {settings.max_file_bytes} bytes",
        limit=settings.max_file_bytes,
        remedy="save the image as JPEG, or make it smaller; the operator can raise "
        "ZSERVE_MAX_FILE_BYTES",
    )


async def _parse_form(request: Request, most: int) -> FormData:
    try:
        parser = UploadParser(
            request.headers,
            in_pieces(aiter(request.stream())),
            max_files=most,
            max_fields=most,
        )
        return await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise LimitError(
                f"the form has more than {most} parts",
                limit=most,
                remedy="send the images in several requests",
            ) from error
        raise MalformedBodyError(
            f"the multipart form is malformed: {error.message}",
            remedy="let an HTTP library encode the form, including its boundary",
        ) from error
    except ValueError as error:  # of codecs: some that a client may name decode nothing
        raise MalformedBodyError(
            "the multipart form has text that its charset cannot decode",
            remedy="leave the charset out of the Content-Type; names are read as UTF-8",
        ) from error


async def _read_form(
    request: Request, fields: Sequence[str], most: int, settings: Settings, remedy: str
) -> Uploads:
    """Return the files of a multipart form with at most `most` parts."""
    form = await _parse_form(request, most)
    try:
        return await _files_of(form, fields, settings, remedy)
    finally:
        await form.close()


async def _files_of(
    form: FormData, fields: Sequence[str], settings: Settings, remedy: str
) -> Uploads:
    uploads: dict[str, list[Upload]] = {}
    for field, part in form.multi_items():
        if field not in fields:
            raise WrongFieldError(f"the form has an unknown field {field[:80]!r}", remedy=remedy)
        if not isinstance(part, UploadFile):
            raise WrongFieldError(f"{field} is text, not a file", remedy=remedy)
        if not part.filename and not part.size:
            continue  # browsers send file inputs that were left empty
        images = uploads.setdefault(field, [])
        name = f"{field} {len(images) + 1}"
        if (part.size or 0) > settings.max_file_bytes:
            raise _too_large(name, settings)
        images.append(Upload(name, await part.read()))
    return uploads


def _how_to_send(fields: Sequence[str]) -> str:
    form = " ".join(f"-F {field}=@{field}.png" for field in fields)
    single = ", or the image itself as image/png, image/jpeg and so on" if "image" in fields else ""
    return f"send a multipart form with a file in {' and '.join(fields)} (curl {form}){single}"
