"""The queries of the endpoints, and the JSON bodies of requests."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PositiveInt,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from app.api.render import formats_of
from app.errors import LimitError, ParameterError
from app.sampling.latents import SEEDS
from model_store.preprocessing import Preprocess

Seed = Annotated[int, Field(ge=0, le=SEEDS - 1)]

IMAGES = formats_of("grid", "document", "files", "arrays")
NUMBERS = formats_of("document", "arrays")
DECOMPRESSED = ("npz", "png", "zip")
FRAMES = formats_of("grid", "document", "files", "arrays", "animation")


@dataclass(frozen=True)
class OneOf:
    """Accept only these strings, or None: a Literal whose values are known at run time."""

    names: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema for pydantic."""
        return core_schema.nullable_schema(core_schema.literal_schema(list(self.names)))


_FORMAT = Field(
    default=None, description="Format of the answer; the Accept header decides if absent."
)


class Query(BaseModel):
    """A query string. Unknown names are refused; `name=` without a value counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_values(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}


_MODEL = Field(
    default=None,
    description="`name`, `name@version` or `name@alias`; the configured model if absent.",
    examples=["mnist"],
)


class OutputQuery(Query):
    """Parameters of every endpoint that answers in several formats."""

    FORMATS: ClassVar[tuple[str, ...]] = ()
    """The formats that the endpoint offers, the default first."""

    format: str | None = None
    metadata: bool = Field(
        default=True,
        description="Store in the file the parameters that reproduce it.",
    )


class ModelQuery(OutputQuery):
    """Parameters of every endpoint that runs a model and answers in several formats."""

    model: str | None = _MODEL


class PictureQuery(ModelQuery):
    """Parameters of every endpoint that answers with images."""

    scale: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Factor by which each pixel is enlarged to a square, in every picture of the "
        "answer; numbers are not affected.",
    )
    pixels: bool = Field(
        default=False,
        description="Show images in JSON as nested numbers 0..255 instead of base64 PNGs.",
    )


class SamplesQuery(PictureQuery):
    """Parameters of every endpoint that decodes latents."""

    FORMATS: ClassVar = IMAGES

    format: Annotated[str | None, OneOf(IMAGES)] = _FORMAT
    columns: int | None = Field(
        default=None, ge=1, description="Images per row; ceil(sqrt(n)) if absent."
    )


class GenerateQuery(SamplesQuery):
    """Parameters of /generate."""

    n: int = Field(default=16, ge=1, description="Number of images.")
    seed: Seed | None = Field(
        default=None,
        description="Seed of the first image; image i has seed + i. Chosen at random if absent, "
        "and returned in X-Seed.",
        examples=[7],
    )
    temperature: float = Field(
        default=1.0,
        ge=0,
        description="Factor on z: 0 gives the mean image, 1 samples of the prior.",
    )
    label: str | None = Field(
        default=None,
        description="A class, by name or by index from 0, for models that list classes; "
        "temperature then scales the spread within the class.",
    )


class UploadQuery(ModelQuery):
    """Parameters of every endpoint that takes images."""

    preprocess: Preprocess = Field(
        default="auto",
        description="`auto` converts an image to the form of the model's training images; "
        "`none` requires an image that has this form already.",
    )


class ReconstructQuery(PictureQuery, UploadQuery):
    """Parameters of /reconstruct."""

    FORMATS: ClassVar = IMAGES

    format: Annotated[str | None, OneOf(IMAGES)] = _FORMAT


class EncodeQuery(UploadQuery):
    """Parameters of /encode."""

    FORMATS: ClassVar = NUMBERS

    format: Annotated[str | None, OneOf(NUMBERS)] = _FORMAT


class ScoreQuery(UploadQuery):
    """Parameters of /score."""

    FORMATS: ClassVar = NUMBERS

    format: Annotated[str | None, OneOf(NUMBERS)] = _FORMAT
    draws: int = Field(
        default=64,
        ge=1,
        le=4096,
        description="Draws of z per image; more lower nll_nats towards -ln p(x).",
    )
    seed: Seed | None = Field(
        default=None,
        description="Seed of the draws of the first image; image i has seed + i. Chosen at random if "
        "absent, and returned in X-Seed.",
        examples=[7],
    )


class DecodeQuery(SamplesQuery):
    """Parameters of /decode."""


class AugmentQuery(SamplesQuery, UploadQuery):
    """Parameters of /augment."""

    n: int = Field(default=16, ge=1, description="Number of variants.")
    seed: Seed | None = Field(
        default=None,
        description="Seed of the first variant; variant i has seed + i. Chosen at random if "
        "absent, and returned in X-Seed.",
        examples=[7],
    )
    temperature: float = Field(
        default=1.0,
        ge=0,
        description="Factor on sigma: 0 gives the reconstruction, 1 samples of the posterior.",
    )


class InterpolateQuery(PictureQuery, UploadQuery):
    """Parameters of /interpolate."""

    FORMATS: ClassVar = FRAMES

    format: Annotated[str | None, OneOf(FRAMES)] = _FORMAT
    seed_a: Seed | None = Field(default=None, description="Seed to start from instead of image a.")
    seed_b: Seed | None = Field(default=None, description="Seed to end at instead of image b.")
    steps: int = Field(
        default=8, ge=2, description="Number of frames, including both reconstructions."
    )
    path: Literal["linear", "slerp"] = Field(
        default="linear",
        description="A straight line, or an arc whose latents are as likely as those of its ends.",
    )
    frame_ms: int = Field(
        default=100,
        ge=20,
        le=10_000,
        description="Milliseconds per frame of a GIF or APNG; GIF rounds to hundredths of a second.",
    )
    loop: bool = Field(default=True, description="Repeat a GIF or APNG forever.")
    bounce: bool = Field(
        default=False, description="Play the frames of a GIF or APNG backwards from B to A as well."
    )


class TraverseQuery(PictureQuery, UploadQuery):
    """Parameters of /traverse."""

    FORMATS: ClassVar = IMAGES

    format: Annotated[str | None, OneOf(IMAGES)] = _FORMAT
    seed: Seed | None = Field(
        default=None, description="Seed of the latent to start from, instead of an image."
    )
    dims: str | None = Field(
        default=None,
        description="Latent dimensions, separated by commas; the most informative ones if absent.",
        examples=["0,3,7"],
    )
    direction: str | None = Field(
        default=None,
        description="Directions with a meaning instead of dimensions, separated by commas, for "
        "models that list directions; values are moves from the start, in standard deviations.",
        examples=["slant"],
    )
    steps: int = Field(default=7, ge=2, description="Images per row.")
    span: float = Field(
        default=3.0, gt=0, description="Range of values: from -span to +span, in sigma."
    )


class EditQuery(PictureQuery, UploadQuery):
    """Parameters of /edit."""

    FORMATS: ClassVar = IMAGES

    format: Annotated[str | None, OneOf(IMAGES)] = _FORMAT
    seed: Seed | None = Field(
        default=None, description="Seed of the latent to edit, instead of an image."
    )
    direction: str = Field(
        description="Directions to move along, separated by commas; GET /models lists them.",
        examples=["slant"],
    )
    by: str = Field(
        default="1",
        description="Size of each move in standard deviations, separated by commas.",
        examples=["2"],
    )


class CompressQuery(Query):
    """Parameters of /compress."""

    model: str | None = _MODEL


class DecompressQuery(OutputQuery):
    """Parameters of /decompress."""

    FORMATS: ClassVar = DECOMPRESSED

    format: Annotated[str | None, OneOf(DECOMPRESSED)] = _FORMAT


class OpenAiImageQuery(Query):
    """Parameters of /v1/images/image.png."""

    model: str = Field(description="`name@version`, `name` or `name@alias`.", examples=["mnist@1"])
    seed: Seed = Field(description="Seed of the image.", examples=[7])
    label: str | None = Field(default=None, description="A class, by name or by index from 0.")
    size: str | None = Field(default=None, description="`auto`, or such as 256x256.")


class Latents(BaseModel):
    """Body of /decode."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    z: Annotated[list[list[float]], Field(min_length=1)] = Field(
        description="One row per image, with as many numbers as the model has latent dimensions."
    )


MAX_PROMOTION_BYTES = 4096
"""Bytes of the largest body of a promotion, which FastAPI parses on the event loop."""


class Promotion(BaseModel):
    """Body of PUT /models/{name}/aliases/{alias}."""

    model_config = ConfigDict(extra="forbid")

    version: PositiveInt


def parse_dimensions(dims: str, latent: int) -> tuple[int, ...]:
    """Parse `0,3,7` to (0, 3, 7).

    Raises ParameterError or LimitError unless they are different and less than `latent`.
    """
    remedy = f"send different whole numbers from 0 to {latent - 1}, separated by commas"
    parts = dims.split(",")
    if len(parts) > latent:
        raise ParameterError(
            f"dims has {len(parts)} dimensions, the model has {latent}",
            limit=latent,
            remedy=remedy,
        )
    dimensions: list[int] = []
    for part in parts:
        text = part.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ParameterError(f"dims: {text[:20]!r} is not a dimension", remedy=remedy)
        dimension = int(text)
        if dimension >= latent:
            raise LimitError(
                f"dims: the model has no dimension {dimension}", limit=latent - 1, remedy=remedy
            )
        if dimension in dimensions:
            raise ParameterError(f"dims: {dimension} is repeated", remedy=remedy)
        dimensions.append(dimension)
    return tuple(dimensions)
