"""Wire types: what the endpoints take in their query and what they answer as JSON."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from app.errors import LimitError, ParameterError
from app.sampling.latents import SEEDS
from model_store.preprocessing import Preprocess
from model_store.spec import Manifest, Metric

# --- queries -----------------------------------------------------------------------------------

Seed = Annotated[int, Field(ge=0, le=SEEDS - 1)]


class Query(BaseModel):
    """A query: unknown names are refused, and `name=` without a value counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_values(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value != ""}


class ModelQuery(Query):
    """What every endpoint that runs a model takes; FORMATS are its answers, the default first."""

    FORMATS: ClassVar[tuple[str, ...]] = ()

    model: str | None = Field(
        default=None,
        description="`name`, `name@version` or `name@alias`; the configured model if absent.",
        examples=["mnist"],
    )
    format: str | None = None
    metadata: bool = Field(
        default=True, description="Whether a file says in itself how to get it again."
    )


_FORMAT = Field(
    default=None, description="Form of the answer; the Accept header decides if absent."
)


class PictureQuery(ModelQuery):
    """What every endpoint that answers with images takes."""

    scale: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Each pixel as a square of this side, in every picture of the answer; "
        "numbers stay as they are.",
    )
    pixels: bool = Field(
        default=False, description="JSON has images as nested numbers 0..255, not as base64 PNGs."
    )


class SamplesQuery(PictureQuery):
    """What every endpoint that decodes latents takes."""

    FORMATS: ClassVar = ("png", "json", "zip", "npz")

    format: Literal["png", "json", "zip", "npz"] | None = _FORMAT
    columns: int | None = Field(
        default=None, ge=1, description="Images in a row; ceil(sqrt(n)) if absent."
    )


class GenerateQuery(SamplesQuery):
    """Parameters of /generate."""

    n: int = Field(default=16, ge=1, description="Number of images.")
    seed: Seed | None = Field(
        default=None,
        description="Image i has seed + i; chosen and returned in X-Seed if absent.",
        examples=[7],
    )
    temperature: float = Field(
        default=1.0, ge=0, description="Scale of z: 0 is the mean image, 1 the prior."
    )
    label: str | None = Field(
        default=None,
        description="A class by its name or its place from 0 on, for models that list classes; "
        "temperature then scales the spread within the class.",
    )


class UploadQuery(ModelQuery):
    """What every endpoint that takes images takes."""

    preprocess: Preprocess = Field(
        default="auto",
        description="`auto` brings an image to the form of the model's training images; "
        "`none` takes one that has it already.",
    )


class ReconstructQuery(PictureQuery, UploadQuery):
    """Parameters of /reconstruct."""

    FORMATS: ClassVar = ("png", "json", "zip", "npz")

    format: Literal["png", "json", "zip", "npz"] | None = _FORMAT


class EncodeQuery(UploadQuery):
    """Parameters of /encode."""

    FORMATS: ClassVar = ("json", "npz")

    format: Literal["json", "npz"] | None = _FORMAT


class DecodeQuery(SamplesQuery):
    """Parameters of /decode."""


class AugmentQuery(SamplesQuery, UploadQuery):
    """Parameters of /augment."""

    n: int = Field(default=16, ge=1, description="Number of variants.")
    seed: Seed | None = Field(
        default=None,
        description="Variant i has seed + i; chosen and returned in X-Seed if absent.",
        examples=[7],
    )
    temperature: float = Field(
        default=1.0, ge=0, description="Scale of sigma: 0 is the reconstruction, 1 the posterior."
    )


class InterpolateQuery(PictureQuery, UploadQuery):
    """Parameters of /interpolate."""

    FORMATS: ClassVar = ("png", "json", "zip", "npz", "gif", "apng")

    format: Literal["png", "json", "zip", "npz", "gif", "apng"] | None = _FORMAT
    seed_a: Seed | None = Field(default=None, description="Where to start, in place of image a.")
    seed_b: Seed | None = Field(default=None, description="Where to end, in place of image b.")
    steps: int = Field(default=8, ge=2, description="Frames, both reconstructions included.")
    path: Literal["linear", "slerp"] = Field(
        default="linear", description="A straight line, or an arc that keeps to likely latents."
    )
    frame_ms: int = Field(
        default=100,
        ge=20,
        le=10_000,
        description="How long a GIF or APNG shows each frame; a GIF rounds it to hundredths.",
    )
    loop: bool = Field(default=True, description="Whether a GIF or APNG starts again at its end.")
    bounce: bool = Field(default=False, description="Whether a GIF or APNG goes back to A as well.")


class TraverseQuery(PictureQuery, UploadQuery):
    """Parameters of /traverse."""

    FORMATS: ClassVar = ("png", "json", "zip", "npz")

    format: Literal["png", "json", "zip", "npz"] | None = _FORMAT
    seed: Seed | None = Field(default=None, description="Where to start, in place of an image.")
    dims: str | None = Field(
        default=None,
        description="Dimensions, separated by commas; the most informative first if absent.",
        examples=["0,3,7"],
    )
    steps: int = Field(default=7, ge=2, description="Images in a row.")
    span: float = Field(default=3.0, gt=0, description="From -span to +span, in sigma.")


def at_most(name: str, value: float, limit: float, setting: str) -> None:
    """Raise LimitError where a parameter is beyond a limit of the settings."""
    if value > limit:
        raise LimitError(
            f"{name} is {_short(value)}, at most {limit:g} is allowed",
            limit=limit,
            remedy=f"ask for {limit:g} or less; the operator can raise {setting}",
        )


def _short(value: float) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:20]}..."


def parse_dimensions(dims: str, latent: int) -> tuple[int, ...]:
    """`0,3,7` -> (0, 3, 7), each once and below the number of dimensions."""
    remedy = f"send different whole numbers from 0 to {latent - 1}, separated by commas"
    parts = dims.split(",")
    if len(parts) > latent:
        raise ParameterError(
            f"dims names {len(parts)} dimensions, the model has {latent}",
            limit=latent,
            remedy=remedy,
        )
    found: list[int] = []
    for part in parts:
        text = part.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ParameterError(f"dims: {text[:20]!r} is not a dimension", remedy=remedy)
        dimension = int(text)
        if dimension >= latent:
            raise LimitError(
                f"dims: the model has no dimension {dimension}", limit=latent - 1, remedy=remedy
            )
        if dimension in found:
            raise ParameterError(f"dims: {dimension} is given twice", remedy=remedy)
        found.append(dimension)
    return tuple(found)


# --- answers -----------------------------------------------------------------------------------

Pixels = list[list[int]] | list[list[list[int]]]
Png = Annotated[
    str | None,
    Field(
        description="A PNG, base64; absent with pixels=true.", exclude_if=lambda png: png is None
    ),
]
Numbers = Annotated[
    Pixels | None,
    Field(
        description="Levels 0..255 as (height, width) or, in colour, (height, width, 3); only with "
        "pixels=true.",
        exclude_if=lambda pixels: pixels is None,
    ),
]
Shown = Annotated[
    str | Pixels,
    Field(
        union_mode="left_to_right",
        description="A PNG in base64; with pixels=true numbers 0..255, as (height, width) or, "
        "in colour, (height, width, 3).",
    ),
]


class Answer(BaseModel):
    """What every JSON answer says about where it came from."""

    model: str = Field(description="`name@version`.")
    weights_sha256: str


class Sample(BaseModel):
    """One decoded image."""

    seed: int | None = Field(default=None, description="Null where z was given.")
    z: list[float]
    png: Png = None
    pixels: Numbers = None


class Generated(Answer):
    """Answer of /generate."""

    seed: int
    generator: str = Field(description="The function from seeds to latents.")
    temperature: float
    label: str | None = Field(default=None, description="The class that was asked for.")
    images: list[Sample]


class Decoded(Answer):
    """Answer of /decode."""

    images: list[Sample]


class Augmented(Answer):
    """Answer of /augment."""

    seed: int
    generator: str = Field(description="The function from seeds to eps.")
    temperature: float
    mu: list[float] = Field(description="Of the upload.")
    logvar: list[float] = Field(description="ln sigma^2 of the upload.")
    images: list[Sample]


class Encoding(BaseModel):
    """Where one upload lies in the latent space."""

    mu: list[float]
    logvar: list[float] = Field(description="ln sigma^2.")
    kl_nats: float = Field(description="KL(q(z | x) || N(0, I)).")


class Encoded(Answer):
    """Answer of /encode."""

    images: list[Encoding]


class Latents(BaseModel):
    """Body of /decode."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    z: Annotated[list[list[float]], Field(min_length=1)] = Field(
        description="One row for each image, as wide as the model's latent space."
    )


class Reconstruction(BaseModel):
    """One upload and what the model makes of it."""

    mu: list[float]
    logvar: list[float] = Field(description="ln sigma^2.")
    bce_nats: float = Field(description="-ln p(x | z = mu), summed over pixels.")
    kl_nats: float = Field(description="KL(q(z | x) || N(0, I)).")
    input: Shown = Field(description="What the model saw, in the same form as the rest.")
    reconstruction: Shown


class Reconstructed(Answer):
    """Answer of /reconstruct."""

    images: list[Reconstruction]


class Frame(BaseModel):
    """One frame between two images."""

    t: float = Field(description="0 at A, 1 at B.")
    z: list[float]
    png: Png = None
    pixels: Numbers = None


class Interpolated(Answer):
    """Answer of /interpolate."""

    generator: str | None = None
    path: str
    seed_a: int | None = None
    seed_b: int | None = None
    a: Shown
    b: Shown
    frames: list[Frame]


class TraversedDimension(BaseModel):
    """One row: z[dim] set to each of the values."""

    dim: int
    kl_nats: float | None = Field(description="Over the test split; null where not measured.")
    values: list[float]
    images: list[Shown]


class Traversed(Answer):
    """Answer of /traverse."""

    generator: str | None = None
    seed: int | None = None
    z: list[float] = Field(description="The latent that the traversal goes through.")
    dimensions: list[TraversedDimension]


class ModelSummary(BaseModel):
    """A model and the version that is served under its bare name."""

    name: str
    version: int
    aliases: dict[str, int]
    versions: list[int]
    default: bool = Field(description="Whether requests that name no model get this one.")
    image: tuple[int, int, int] = Field(description="Channels, height, width.")
    latent: int
    dataset: str
    classes: list[str] = Field(description="What label= takes; empty where it takes nothing.")
    metrics: dict[str, Metric]
    weights_sha256: str
    created_at: datetime


class Unreadable(BaseModel):
    """A model that cannot be listed, and why."""

    name: str
    detail: str


class ModelList(BaseModel):
    """Answer of /models."""

    models: list[ModelSummary]
    unreadable: list[Unreadable] = []


class ModelVersions(BaseModel):
    """Answer of /models/{name}."""

    name: str
    aliases: dict[str, int]
    versions: list[Manifest]


class ModelVersion(BaseModel):
    """Answer of /models/{name}/{version}."""

    aliases: list[str] = Field(description="Those that mean this version now.")
    figures: dict[str, str] = Field(description="Name -> path.")
    card: str = Field(description="For people; Markdown.")
    manifest: Manifest


class Promotion(BaseModel):
    """Body of PUT /models/{name}/aliases/{alias}."""

    model_config = ConfigDict(extra="forbid")

    version: PositiveInt


class Aliases(BaseModel):
    """Answer of PUT /models/{name}/aliases/{alias}."""

    name: str
    aliases: dict[str, int]


class ServerMetadata(BaseModel):
    """Answer of /v2."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor of the v2 protocol; -1 is the batch."""

    name: str
    datatype: Literal["FP32"] = "FP32"
    shape: list[int]


class VersionMetadata(BaseModel):
    """Answer of /v2/models/{name}."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class Health(BaseModel):
    """Answer of /healthz and /readyz."""

    status: Literal["live", "ready"]
    model: str | None = None
    device: str | None = None
    degraded: list[str] | None = Field(
        default=None, description="Promotions that were refused; the versions before them answer."
    )
