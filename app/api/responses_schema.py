"""The JSON documents that the endpoints answer with."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from model_store.sample_quality import SampleQuality
from model_store.spec import Family, Manifest, Metric
from model_store.typicality import Verdict

Pixels = list[list[int]] | list[list[list[int]]]
Png = Annotated[
    str | None,
    Field(
        description="A PNG in base64; absent with pixels=true.",
        exclude_if=lambda png: png is None,
    ),
]
Numbers = Annotated[
    Pixels | None,
    Field(
        description="Pixel values 0..255 as (height, width) or, in colour, (height, width, 3); only with "
        "pixels=true.",
        exclude_if=lambda pixels: pixels is None,
    ),
]
PngOrNumbers = Annotated[
    str | Pixels,
    Field(
        union_mode="left_to_right",
        description="A PNG in base64; with pixels=true pixel values 0..255, as (height, width) or, "
        "in colour, (height, width, 3).",
    ),
]


class Answer(BaseModel):
    """Fields of every JSON answer that a model computed."""

    model: str = Field(description="Version that computed the answer: `name@version`.")
    weights_sha256: str = Field(description="Checksum of the weights of that version.")


class Sample(BaseModel):
    """One decoded image."""

    seed: int | None = Field(
        default=None, description="Seed of this image; null if the request sent z."
    )
    z: list[float] = Field(description="Latent that the image was decoded from.")
    png: Png = None
    pixels: Numbers = None


class Generated(Answer):
    """Answer of /generate."""

    seed: int = Field(description="Seed of the first image.")
    generator: str = Field(description="Name of the function from seeds to latents.")
    temperature: float = Field(description="Factor on z.")
    label: str | None = Field(
        default=None, description="Name of the requested class; null without one."
    )
    images: list[Sample]


class Decoded(Answer):
    """Answer of /decode."""

    images: list[Sample]


class Unusual(BaseModel):
    """A warning: an upload is not like the images that the model learnt."""

    score: float = Field(description="Typicality score of the upload, as in /score.")
    limit: float = Field(description="99 % of the model's test images have a smaller score.")
    quantile: float = Field(description="Share of the test images with a smaller score.")
    verdict: Literal["atypical", "out_of_distribution"] = Field(
        description="`atypical` above 99 % of the test images, `out_of_distribution` above 99.9 %."
    )
    detail: str = Field(description="The warning in words, with the ratio to the limit.")

    @property
    def times(self) -> float:
        """Ratio of the score to the limit."""
        return self.score / self.limit


_UNUSUAL = Field(
    default=None,
    description="Present if the upload is not like the images that the model learnt.",
    exclude_if=lambda unusual: unusual is None,
)


class Augmented(Answer):
    """Answer of /augment."""

    seed: int = Field(description="Seed of the first variant.")
    generator: str = Field(description="Name of the function from seeds to eps.")
    temperature: float = Field(description="Factor on sigma.")
    mu: list[float] = Field(
        description="Mean of q(z | x) of the upload; if the model has a flow, before the flow."
    )
    logvar: list[float] = Field(description="ln sigma^2 of q(z | x), in the space of mu.")
    images: list[Sample]
    unusual: Unusual | None = _UNUSUAL


class Encoding(BaseModel):
    """The posterior of one upload."""

    mu: list[float] = Field(description="Posterior mean.")
    logvar: list[float] = Field(description="ln sigma^2 of the posterior.")
    kl_nats: float = Field(description="KL(q(z | x) || N(0, I)).")
    unusual: Unusual | None = _UNUSUAL


class Encoded(Answer):
    """Answer of /encode."""

    images: list[Encoding]


class Reconstruction(BaseModel):
    """One upload and its reconstruction."""

    mu: list[float] = Field(description="Posterior mean.")
    logvar: list[float] = Field(description="ln sigma^2 of the posterior.")
    bce_nats: float = Field(description="-ln p(x | z = mu), summed over pixels.")
    kl_nats: float = Field(description="KL(q(z | x) || N(0, I)).")
    input: PngOrNumbers = Field(
        description="The upload after preprocessing, as the model sees it: a PNG in base64, or "
        "pixel values with pixels=true."
    )
    reconstruction: PngOrNumbers = Field(
        description="The decoded posterior mean: a PNG in base64, or pixel values with pixels=true."
    )
    unusual: Unusual | None = _UNUSUAL


class Reconstructed(Answer):
    """Answer of /reconstruct."""

    images: list[Reconstruction]


class Score(BaseModel):
    """How likely and how typical one upload is; ln is the natural logarithm, unit nats."""

    elbo_nats: float = Field(
        description="Evidence lower bound: mean over the draws of ln p(x | z) + ln p(z) - "
        "ln q(z | x)."
    )
    reconstruction_nats: float = Field(description="Mean of -ln p(x | z) over the draws.")
    kl_nats: float = Field(
        description="Mean of ln q(z | x) - ln p(z) over the draws, an estimate of KL(q(z | x) || p(z))."
    )
    nll_nats: float = Field(
        description="Importance-weighted -ln p(x): -ln of the mean of p(x | z) p(z) / q(z | x)."
    )
    bits_per_dimension: float = Field(description="nll_nats / (ln 2 * channels * height * width).")
    effective_samples: float = Field(
        description="(sum w)^2 / sum w^2 of the importance weights, from 1 to the number of draws; near "
        "1, nll_nats is too high."
    )
    elbo_quantile: float | None = Field(
        description="Share of the version's test images with a smaller ELBO; null without a table."
    )
    nll_quantile: float | None = Field(
        description="Share of the version's test images with a smaller nll_nats; null without a table."
    )
    score: float | None = Field(
        description="Typicality score, from 0; larger is less typical. Null without a table."
    )
    quantile: float | None = Field(
        description="Share of the version's test images with a smaller score; null without a table."
    )
    verdict: Verdict | None = Field(
        description="`typical`; `atypical` above the score of 99 % of the test images; "
        "`out_of_distribution` above that of 99.9 %; null without a table."
    )


class Scored(Answer):
    """Answer of /score."""

    seed: int = Field(description="Seed of the draws of the first upload.")
    generator: str = Field(description="Name of the function from seeds to eps.")
    draws: int = Field(description="Draws of z per upload.")
    notice: str | None = Field(
        default=None, description="The reason why quantiles and verdicts are null."
    )
    images: list[Score]


class Frame(BaseModel):
    """One frame between two images."""

    t: float = Field(description="Position on the path: 0 at A, 1 at B.")
    z: list[float] = Field(description="Latent that the frame was decoded from.")
    png: Png = None
    pixels: Numbers = None


class Interpolated(Answer):
    """Answer of /interpolate."""

    generator: str | None = Field(
        default=None, description="Name of the function from seeds to latents; null without seeds."
    )
    path: str = Field(description="`linear` or `slerp`.")
    seed_a: int | None = Field(default=None, description="Seed of A; null if A is an image.")
    seed_b: int | None = Field(default=None, description="Seed of B; null if B is an image.")
    a: PngOrNumbers
    b: PngOrNumbers
    frames: list[Frame]
    unusual_a: Unusual | None = _UNUSUAL
    unusual_b: Unusual | None = _UNUSUAL


class TraversedDimension(BaseModel):
    """One row of a traversal: z[dim] set to each of the values."""

    dim: int = Field(description="Latent dimension.")
    kl_nats: float | None = Field(
        description="KL of the dimension over the test split; null if it was not measured."
    )
    values: list[float] = Field(description="Values of z[dim], one per image.")
    images: list[PngOrNumbers]


class TraversedDirection(BaseModel):
    """One row of a traversal: the start, moved along a direction by each of the values."""

    direction: str = Field(description="Name of the direction.")
    values: list[float] = Field(description="Size of each move, in standard deviations.")
    z: list[list[float]] = Field(description="Latent of each image.")
    images: list[PngOrNumbers]


class Traversed(Answer):
    """Answer of /traverse."""

    generator: str | None = Field(
        default=None, description="Name of the function from seeds to latents; null without a seed."
    )
    seed: int | None = Field(default=None, description="Seed of z; null without one.")
    z: list[float] = Field(description="Latent that the traversal starts from.")
    dimensions: list[TraversedDimension] = Field(description="Empty if directions were asked for.")
    directions: list[TraversedDirection] | None = Field(
        default=None,
        description="Present if directions were asked for.",
        exclude_if=lambda directions: directions is None,
    )
    unusual: Unusual | None = _UNUSUAL


class Move(BaseModel):
    """A move along a direction."""

    direction: str = Field(description="Name of the direction.")
    by: float = Field(description="Size of the move, in standard deviations.")


class EditedImage(BaseModel):
    """One edited image."""

    start: list[float] = Field(description="Latent before the moves.")
    z: list[float] = Field(description="Latent that the image was decoded from.")
    png: Png = None
    pixels: Numbers = None
    unusual: Unusual | None = _UNUSUAL


class Edited(Answer):
    """Answer of /edit."""

    generator: str | None = Field(
        default=None, description="Name of the function from seeds to latents; null without a seed."
    )
    seed: int | None = Field(default=None, description="Seed of the start; null without one.")
    moves: list[Move]
    images: list[EditedImage]


class ModelSummary(BaseModel):
    """A model, and the version that its bare name stands for."""

    name: str
    version: int = Field(description="Version that the bare name stands for.")
    aliases: dict[str, int] = Field(description="Version of each alias.")
    versions: list[int] = Field(description="All versions.")
    default: bool = Field(description="True for the model that is used if a request names none.")
    image: tuple[int, int, int] = Field(description="Channels, height and width of an image.")
    latent: int = Field(description="Number of latent dimensions.")
    dataset: str = Field(description="Data that the version was trained on.")
    family: Family | None = Field(
        default=None,
        description="Name of the models that differ from this one in beta alone, and beta of this "
        "one; absent if it belongs to no family.",
        exclude_if=lambda family: family is None,
    )
    classes: list[str] = Field(description="Values of label=; empty if the model has no classes.")
    directions: list[str] = Field(
        description="Values of direction=; empty if the version has no directions."
    )
    metrics: dict[str, Metric] = Field(description="Published metrics of the version.")
    sample_quality: SampleQuality | None = Field(
        default=None, description="Quality of the samples; null if it was not measured."
    )
    best_samples: bool = Field(
        default=False,
        description="True if no other listed model of this data set has better samples, and one "
        "was measured.",
    )
    weights_sha256: str = Field(description="Checksum of the weights of the version.")
    created_at: datetime = Field(description="Time of publication.")


class Unreadable(BaseModel):
    """A model of the store that cannot be read, and the reason."""

    name: str
    detail: str = Field(description="The reason.")


class ModelList(BaseModel):
    """Answer of /models."""

    models: list[ModelSummary]
    unreadable: list[Unreadable] = Field(
        default=[], description="Models of the store that cannot be read."
    )


class ModelVersions(BaseModel):
    """Answer of /models/{name}."""

    name: str
    aliases: dict[str, int] = Field(description="Version of each alias.")
    versions: list[Manifest] = Field(description="Manifests of all versions that can be read.")
    unreadable: list[Unreadable] = Field(
        default=[],
        description="Versions that cannot be read; absent if there are none.",
        exclude_if=lambda versions: not versions,
    )


class ModelVersion(BaseModel):
    """Answer of /models/{name}/{version}."""

    aliases: list[str] = Field(description="Aliases that stand for this version now.")
    figures: dict[str, str] = Field(description="Path of each figure by its name.")
    card: str = Field(description="Model card, in Markdown.")
    sample_quality: SampleQuality | None = Field(
        default=None, description="Quality of the samples; null if it was not measured."
    )
    snapshots: str | None = Field(
        default=None,
        description="Path of the snapshots of the training; absent if none were kept.",
        exclude_if=lambda path: path is None,
    )
    manifest: Manifest


class Aliases(BaseModel):
    """Answer of PUT /models/{name}/aliases/{alias}."""

    name: str
    aliases: dict[str, int] = Field(description="Version of each alias.")


class ServerMetadata(BaseModel):
    """Answer of /v2."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor of the v2 protocol; the batch size is -1."""

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
    model: str | None = Field(default=None, description="The loaded default version.")
    device: str | None = Field(default=None, description="Device that it runs on.")
    degraded: list[str] | None = Field(
        default=None,
        description="Promotions that were refused, whose previous version still answers, and exact "
        "versions that this machine computes differently.",
    )
