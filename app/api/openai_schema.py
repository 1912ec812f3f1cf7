"""Bodies of the endpoints below /v1, in the form of OpenAI's API for images."""

from typing import Literal

import msgspec
from pydantic import BaseModel, Field

from app.sampling.latents import SEEDS

MAX_IMAGES = 10
"""Largest number of images of a request, as in OpenAI's API."""
MAX_PROMPT = 4000
"""Longest prompt, in characters."""
MAX_OPENAI_BYTES = 65_536
"""Bytes of the largest body, which is parsed on the event loop in less than 1 ms."""
AUTO_SIDE = 256
"""Longest side, in pixels, of an image whose size is `auto`."""


class ImageRequest(BaseModel):
    """Body of POST /v1/images/generations; other fields are ignored."""

    prompt: str = Field(
        max_length=MAX_PROMPT,
        description="A class of the model, or a sentence with one or several of them; `random` for "
        "samples of the prior.",
        examples=["a seven"],
    )
    model: str | None = Field(
        default=None,
        description="`name`, `name@version` or `name@alias`; the configured model if absent.",
        examples=["mnist"],
    )
    n: int | None = Field(default=1, ge=1, le=MAX_IMAGES, description="Number of images.")
    size: str | None = Field(
        default="auto",
        description="`auto`, or width and height in pixels such as 256x256: each pixel of the model's "
        "image becomes a square, as large as fits, with black around the image.",
    )
    response_format: Literal["b64_json", "url"] | None = Field(
        default="b64_json",
        description="The image as base64, or an address that makes the same bytes again.",
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=SEEDS - 1,
        description="Seed of the first image; image i has seed + i. Chosen at random if absent.",
    )


class ImageBody(msgspec.Struct):
    """The fields of `ImageRequest`, as they are read; other fields are skipped."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    response_format: Literal["b64_json", "url"] | None = None
    seed: int | None = None
    stream: bool | None = None
    output_format: str | None = None


class GeneratedImage(BaseModel):
    """One image: `b64_json` or `url`."""

    b64_json: str | None = Field(default=None, description="A PNG in base64.")
    url: str | None = Field(default=None, description="Address of the PNG.")
    revised_prompt: str = Field(description="Model, class and seed of the image.")


class GeneratedImages(BaseModel):
    """Answer of POST /v1/images/generations."""

    created: int = Field(description="Time of the answer, in seconds since 1970.")
    data: list[GeneratedImage]
    size: str = Field(description="Width and height of each image in pixels.")
    output_format: Literal["png"] = "png"


class OpenAiModel(BaseModel):
    """A model in the form of OpenAI's API."""

    id: str = Field(description="What `model` accepts: a name.")
    object: Literal["model"] = "model"
    created: int = Field(description="Time at which its version was published, since 1970.")
    owned_by: Literal["zserve"] = "zserve"


class OpenAiModels(BaseModel):
    """Answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[OpenAiModel]
