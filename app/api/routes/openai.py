"""/v1: generate images and list models as clients of OpenAI's API ask for it."""

import base64
import codecs
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import msgspec
import numpy as np
from fastapi import APIRouter, Path, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.caching import cache_headers, client_has, etag
from app.api.dependencies import Services, ServicesDep
from app.api.limits import at_most
from app.api.openai_schema import (
    AUTO_SIDE,
    MAX_IMAGES,
    MAX_PROMPT,
    GeneratedImage,
    GeneratedImages,
    ImageBody,
    ImageRequest,
    OpenAiModel,
    OpenAiModels,
)
from app.api.openapi import BINARY, json_body, problems
from app.api.picture_size import PictureSize
from app.api.provenance import model_headers, request_parameters
from app.api.queries import OpenAiImageQuery
from app.api.query_route import QueryRoute
from app.api.request_body import content_type_of, unsupported_body
from app.api.result import OutputOptions
from app.errors import LimitError, MalformedBodyError, ParameterError
from app.inference.loaded_model import LoadedModel
from app.off_loop import LARGE_TEXT_BYTES, call
from app.operations import draw_latents, find_class
from app.prompts import classes_named
from app.sampling import latents
from app.typing import Bytes
from model_store.errors import StoreError
from model_store.spec import ModelRef

router = APIRouter(tags=["openai"])

IMAGE_PATH = "/v1/images/image.png"
"""Path of the addresses that `response_format=url` answers with."""

_DECODER = msgspec.json.Decoder(ImageBody)
_REMEDY = 'send JSON such as {"prompt": "a seven", "n": 2, "seed": 7}'
_MANY_PIXELS = 50_000
"""Pixels from which on pictures are encoded beside the event loop: about 5 ms."""


@router.post(
    "/v1/images/generations",
    summary="Generate images, as OpenAI's API does",
    operation_id="openai_images",
    response_model=GeneratedImages,
    responses=problems(400, 404, 413, 415, 503),
    openapi_extra=json_body(ImageRequest, {"prompt": "a seven", "n": 1, "seed": 7}),
)
async def generate_images(request: Request, services: ServicesDep) -> Response:
    """Draw the classes that the prompt names; image i is of class i, i + number of classes, ...

    Errors have the form of OpenAI's API. `seed` repeats an image; a client of OpenAI sends it as
    `extra_body`.
    """
    body = await _read_body(request)
    model = await services.model_cache.get(body.model)
    labels = classes_named(body.prompt, model.classes, model.name)
    n = body.n or 1
    size = _checked_size(body.size, n, model, services)
    seed = latents.random_seed() if body.seed is None else body.seed
    pictures = [
        _Picture(model, int(each), labels[i % len(labels)] if labels else None, size)
        for i, each in enumerate(latents.consecutive_seeds(seed, n))
    ]
    created = int(time.time())

    def answer(images: list[GeneratedImage]) -> str:
        document = GeneratedImages(created=created, data=images, size=str(size))
        return document.model_dump_json(exclude_none=True)

    if body.response_format == "url":
        text = answer([each.as_address(request, services) for each in pictures])
    else:
        files = await _encode(pictures, services)
        large = sum(map(len, files)) >= LARGE_TEXT_BYTES
        text = await call(lambda: answer(_as_base64(pictures, files)), off_loop=large)
    return Response(text, headers=model_headers(model, seed), media_type="application/json")


async def generate_image(
    request: Request, services: ServicesDep, query: Annotated[OpenAiImageQuery, InQuery()]
) -> Response:
    """Return the PNG of one image; the answers of `response_format=url` have this address."""
    model = await services.model_cache.get(query.model)
    size = _checked_size(query.size, 1, model, services)
    label = None if query.label is None else find_class(query.label, model)
    picture = _Picture(model, query.seed, label, size)
    output = OutputOptions("png")
    tag = etag(model, output, picture.parameters | {"size": str(size)})
    pinned = ModelRef.parse(query.model).version is not None
    headers = model_headers(model, query.seed) | cache_headers(
        tag, immutable=model.exact and pinned
    )
    if client_has(request, tag):
        return Response(status_code=304, headers=headers)
    (content,) = await _encode([picture], services)
    return Response(content, headers=headers, media_type="image/png")


router.add_api_route(
    IMAGE_PATH,
    generate_image,
    methods=["GET"],
    summary="Show an image that was generated as an address",
    operation_id="openai_image",
    response_class=Response,
    responses={
        200: {"description": "The image.", "content": {"image/png": {"schema": BINARY}}},
        **problems(400, 404, 503),
    },
    route_class_override=QueryRoute,
)


@router.get(
    "/v1/models",
    summary="List the models, as OpenAI's API does",
    operation_id="openai_models",
)
def list_models(services: ServicesDep) -> OpenAiModels:
    """Return the name of every model whose production version can be read."""
    models = []
    for name in services.store.names():
        try:
            models.append(_describe(name, services))
        except StoreError:
            continue  # GET /models says why
    return OpenAiModels(data=models)


@router.get(
    "/v1/models/{model}",
    summary="Show a model, as OpenAI's API does",
    operation_id="openai_model",
    responses=problems(404, 503),
)
def show_model(
    services: ServicesDep,
    model: Annotated[str, Path(description="`name`, `name@version` or `name@alias`.")],
) -> OpenAiModel:
    """Return one model, if there is such a version."""
    return _describe(model, services)


def _describe(reference: str, services: Services) -> OpenAiModel:
    manifest = services.store.manifest(ModelRef.parse(reference))
    return OpenAiModel(id=reference, created=int(manifest.created_at.timestamp()))


@dataclass(frozen=True, eq=False)
class _Picture:
    """One image of an answer."""

    model: LoadedModel
    seed: int
    label: int | None
    size: PictureSize

    @property
    def class_name(self) -> str | None:
        """Name of the class; None without one."""
        return None if self.label is None else self.model.classes[self.label]

    @property
    def parameters(self) -> dict[str, object]:
        """The parameters that reproduce the image by GET /generate."""
        return request_parameters(
            "/generate",
            self.model,
            n=1,
            seed=self.seed,
            generator=latents.GENERATOR,
            temperature=1.0,
            label=self.class_name,
            columns=1,
        )

    @property
    def description(self) -> str:
        """Class, model and seed of the image in words, for `revised_prompt`."""
        what = "a sample" if self.class_name is None else f"class {self.class_name}"
        return f"{what} of {self.model.name}, seed {self.seed}"

    def as_address(self, request: Request, services: Services) -> GeneratedImage:
        """Return the image as an address, which computes it when it is asked for."""
        if services.settings.api_keys is not None:
            raise ParameterError(
                "response_format: an address could not be opened without an API key",
                remedy="send response_format b64_json",
            )
        query = {"model": self.model.name, "seed": self.seed, "size": str(self.size)}
        if self.class_name is not None:
            query["label"] = self.class_name
        address = f"{str(request.base_url).rstrip('/')}{IMAGE_PATH}?{urlencode(query)}"
        return GeneratedImage(url=address, revised_prompt=self.description)


async def _read_body(request: Request) -> ImageBody:
    """Read the JSON of a request; raises UploadError, ParameterError."""
    content_type = content_type_of(request)
    if content_type != "application/json":
        raise unsupported_body(content_type, _REMEDY)
    content = (await request.body()).removeprefix(codecs.BOM_UTF8)
    try:
        body = _DECODER.decode(content)
    except msgspec.ValidationError as error:
        raise ParameterError(f"the body: {str(error)[:200]}", remedy=_REMEDY) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBodyError(
            f"the body is not valid JSON: {str(error)[:200]}", remedy=_REMEDY
        ) from error
    _check(body)
    return body


def _check(body: ImageBody) -> None:
    if len(body.prompt) > MAX_PROMPT:
        raise LimitError(
            f"prompt has {len(body.prompt)} characters, at most {MAX_PROMPT} are read",
            limit=MAX_PROMPT,
            remedy="name the classes in a short sentence",
        )
    for name, value, least, most in (
        ("n", body.n, 1, MAX_IMAGES),
        ("seed", body.seed, 0, latents.SEEDS - 1),
    ):
        if value is not None and not least <= value <= most:
            raise LimitError(
                f"{name} is {str(value)[:24]}; it must be {least} to {most}",
                limit=most,
                remedy=f"send {name} from {least} to {most}",
            )
    if body.stream:
        raise ParameterError("stream: images are not streamed", remedy="leave stream out")
    if body.output_format not in {None, "png"}:
        raise ParameterError(
            f"output_format: {str(body.output_format)[:20]!r} is not offered",
            remedy="images are PNG files: leave output_format out",
        )


def _checked_size(text: str | None, n: int, model: LoadedModel, services: Services) -> PictureSize:
    size = PictureSize.parse(text, model.manifest.spec.image, AUTO_SIDE)
    at_most(
        "the number of pixels at this size",
        n * size.pixels,
        services.settings.max_answer_pixels,
        "ZSERVE_MAX_ANSWER_PIXELS",
    )
    return size


def _as_base64(pictures: Sequence[_Picture], files: Sequence[bytes]) -> list[GeneratedImage]:
    return [
        GeneratedImage(
            b64_json=base64.b64encode(content).decode(), revised_prompt=picture.description
        )
        for picture, content in zip(pictures, files, strict=True)
    ]


async def _encode(pictures: Sequence[_Picture], services: Services) -> list[bytes]:
    """Draw, decode and encode pictures of one model; one PNG each."""
    model, engine = pictures[0].model, services.engine
    z = np.empty((len(pictures), model.latent), np.float32)
    for label in dict.fromkeys(picture.label for picture in pictures):
        rows = [i for i, picture in enumerate(pictures) if picture.label == label]
        seeds = np.array([pictures[i].seed for i in rows], np.uint64)
        z[rows] = await draw_latents(engine, model, seeds, 1.0, label)
    images: Bytes = await engine.decode_levels(model, z)
    size = pictures[0].size

    def encode() -> list[bytes]:
        return [
            size.png(image, picture.parameters)
            for image, picture in zip(images, pictures, strict=True)
        ]

    many = len(pictures) * size.pixels * images.shape[1] >= _MANY_PIXELS
    return await call(encode, off_loop=many)
