"""Descriptions of models and of their training, as validated, frozen values."""

import re
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from model_store.errors import InvalidReferenceError

PRODUCTION = "production"

_NAME = r"[a-z0-9][a-z0-9._-]{0,62}"
_ALIAS = r"[a-z][a-z0-9_-]{0,62}"

Name = Annotated[str, StringConstraints(pattern=f"^{_NAME}$")]
Alias = Annotated[str, StringConstraints(pattern=f"^{_ALIAS}$")]
Sha256 = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


MAX_WIDTH = 65_536
"""Largest number of values of one linear layer."""
MAX_CHANNELS = 4096
MAX_LATENT = 16_384
MAX_LAYERS = 64
"""Largest number of hidden layers, of feature maps, or of residual blocks on one feature map."""
MAX_COUPLINGS = 128
MAX_LOGVAR = 1e4
"""Largest bound of |logvar|; float32 overflows for sigma^2 above exp(88)."""
MAX_FILE_BYTES = 2**31
"""Largest file of a version."""
MAX_FILES = 1000
MAX_VERSION_BYTES = 2**32
"""Largest sum of all files of a version: reading and checking them takes some seconds."""
MAX_GRAPH_BYTES = 2**28
"""Largest graph of ONNX; its weights are part of it."""
MAX_SEED = 2**64 - 1
"""Largest seed of torch's generator."""

Width = Annotated[int, Field(gt=0, le=MAX_WIDTH)]
Channels = Annotated[int, Field(gt=0, le=MAX_CHANNELS)]
Blocks = Annotated[int, Field(ge=0, le=MAX_LAYERS)]


class Frozen(BaseModel):
    """Base of the values below: immutable, finite numbers only, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


# --- the network -------------------------------------------------------------------------------


class ImageShape(Frozen):
    """Shape of the images that a model reads and writes."""

    channels: Literal[1, 3] = 1
    height: PositiveInt = Field(default=28, le=256)
    width: PositiveInt = Field(default=28, le=256)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return (self.channels, self.height, self.width)

    @property
    def pixels(self) -> int:
        """Return the number of values in one image, channels included."""
        return self.channels * self.height * self.width


class MLP(Frozen):
    """Fully connected layers with ReLU; the decoder mirrors the encoder."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Width, ...] = Field(default=(400,), min_length=1, max_length=MAX_LAYERS)


class _Pyramid(Frozen):
    """Feature maps that halve height and width: kernel 3 rounds up, kernel 4 down."""

    channels: tuple[Channels, ...] = Field(default=(32, 64), min_length=1, max_length=MAX_LAYERS)
    """Number of channels of each feature map, from the image to the latents."""
    hidden: Width = 128
    """Width of the linear layer between the last feature map and the latents."""
    kernel: Literal[3, 4] = 4
    batch_norm: bool = False

    def sizes(self, side: int) -> tuple[int, ...]:
        """Return the height (or width) of the image, `side`, and of each feature map."""
        sizes = [side]
        for _ in self.channels:
            sizes.append((sizes[-1] + 2 - self.kernel) // 2 + 1)
        return tuple(sizes)


class Conv(_Pyramid):
    """Stride-2 convolutions, then a linear layer; the decoder mirrors them, transposed."""

    kind: Literal["conv"] = "conv"


class Residual(_Pyramid):
    """Stride-2 convolutions with residual blocks of two 3x3 convolutions on every feature map."""

    kind: Literal["residual"] = "residual"
    encoder_blocks: Blocks = 1
    """Number of residual blocks on each feature map of the encoder."""
    decoder_blocks: Blocks = 1
    """Number of residual blocks on each feature map of the decoder."""


Layout = Literal["channels_first", "channels_last", "plane", "flat"]
"""Axes of images after the batch: c h w, h w c, h w (grey), or all pixels in the order c h w."""
GraphBytes = Annotated[int, Field(gt=0, le=MAX_GRAPH_BYTES)]


class Onnx(Frozen):
    """Two graphs of ONNX that were made elsewhere; the file of weights holds them as bytes."""

    kind: Literal["onnx"] = "onnx"
    encoder_bytes: GraphBytes
    """Size (bytes) of the tensor encoder.onnx."""
    decoder_bytes: GraphBytes
    """Size (bytes) of the tensor decoder.onnx."""
    encoder_layout: Layout = "channels_first"
    decoder_layout: Layout = "channels_first"
    encoder_pixels: Literal["unit", "levels"] = "unit"
    """Images that the encoder takes: in [0, 1], or grey levels 0 to 255."""
    decoder_pixels: Literal["unit", "levels", "logits"] = "unit"
    """Output of the decoder: images in [0, 1], grey levels 0 to 255, or logits."""
    posterior: Literal["mu_logvar", "joined", "point"] = "mu_logvar"
    """Output of the encoder: mu and ln sigma^2, both in one array, or a latent without sigma."""


class Package(Frozen):
    """A network of an installed package, which registers it as an entry point of zserve.networks."""

    kind: Literal["package"] = "package"
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the entry point."""
    package: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Distribution that registers it."""
    settings: dict[str, JsonValue] = {}
    """Settings that the package validates."""


Network = Annotated[MLP | Conv | Residual | Onnx | Package, Field(discriminator="kind")]


class Flow(Frozen):
    """A prior made of affine couplings: an invertible map between z and u ~ N(0, I)."""

    couplings: PositiveInt = Field(default=8, le=MAX_COUPLINGS)
    hidden: Width = 128
    """Width of the two hidden layers of each coupling."""


class ModelSpec(Frozen):
    """Everything that is needed to build a network and to prepare images for it."""

    network: Network
    latent: PositiveInt = Field(le=MAX_LATENT)
    image: ImageShape = ImageShape()
    likelihood: Literal["bernoulli", "discretised_logistic"] = "bernoulli"
    """p(x | z): for grey or binary pixels, or for 8-bit pixels with a learned scale per channel."""
    upload: Literal["digit", "resize"] = "digit"
    """Preparation of images: placed as MNIST places digits, or cropped and resized."""
    prior: Flow | None = None
    """p(z); N(0, I) if None."""
    logvar_bound: PositiveFloat | None = Field(default=None, le=MAX_LOGVAR)
    """Largest |logvar| of the encoder, which is clamped to it; not clamped if None."""

    @model_validator(mode="after")
    def _check_that_a_flow_has_two_halves(self) -> Self:
        if self.prior is not None and self.latent < 2:
            raise ValueError(
                "a flow needs at least two latent dimensions: it computes one half from the other"
            )
        return self

    @model_validator(mode="after")
    def _check_that_graphs_have_no_further_parts(self) -> Self:
        parts = (self.prior, self.logvar_bound)
        if isinstance(self.network, Onnx) and (any(parts) or self.likelihood != "bernoulli"):
            raise ValueError(
                "graphs of ONNX have neither a flow nor a logvar_bound, and Bernoulli pixels"
            )
        return self

    @model_validator(mode="after")
    def _check_that_convolutions_leave_something(self) -> Self:
        if isinstance(self.network, Conv | Residual):
            side = min(self.image.height, self.image.width)
            if self.network.sizes(side)[-1] < 1:
                raise ValueError(
                    f"{len(self.network.channels)} stride-2 convolutions leave nothing of an "
                    f"image of {self.image.height}x{self.image.width}; use fewer"
                )
        return self


# --- references --------------------------------------------------------------------------------


class ModelRef(Frozen):
    """`name`, `name@version` or `name@alias`; a bare name means its production alias."""

    name: Name
    version: PositiveInt | None = None
    alias: Alias | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `mnist`, `mnist@3` or `mnist@production`; raises InvalidReferenceError."""
        match = re.fullmatch(rf"({_NAME})(?:@(?:([1-9][0-9]{{0,8}})|({_ALIAS})))?", text)
        if match is None:
            raise InvalidReferenceError(
                f"{text[:80]!r} is not a model reference; "
                "write name, name@version or name@alias, such as mnist, mnist@1, mnist@production"
            )
        name, version, alias = match.groups()
        if version is not None:
            return cls(name=name, version=int(version))
        return cls(name=name, alias=alias or PRODUCTION)

    def __str__(self) -> str:
        return f"{self.name}@{self.version or self.alias or PRODUCTION}"


# --- the manifest ------------------------------------------------------------------------------


class Metric(Frozen):
    """One measured number and how it was measured."""

    value: float
    unit: str
    protocol: str
    tolerance: NonNegativeFloat | None = None
    """Largest difference between two measurements of the same weights, in the unit of the value."""


class EpochRecord(Frozen):
    """One epoch of a training run; means over images, in nats.

    `train_` values are means over the training images as the network saw them (augmented, with
    changing weights), `test_` values over the test split after the epoch. The losses are those that
    training minimised, with the beta and the free bits of this epoch.
    """

    epoch: PositiveInt
    train_loss: float
    train_reconstruction: float
    train_kl: float
    test_loss: float
    test_reconstruction: float
    test_kl: float


class Family(Frozen):
    """A family of models that differ in beta alone, and the beta of one of them."""

    name: Name
    beta: NonNegativeFloat
    """Weight of the KL in the loss."""


class TrainingRecord(Frozen):
    """The training of a version."""

    preset: str
    dataset: str
    seed: NonNegativeInt = Field(le=MAX_SEED)
    epochs: NonNegativeInt
    settings: dict[str, JsonValue] = {}
    device: str = "cpu"
    duration_s: float = 0.0
    libraries: dict[str, str] = {}
    source_commit: str | None = None
    history: tuple[EpochRecord, ...] = ()
    family: Family | None = Field(default=None, exclude_if=lambda family: family is None)
    """Family that the version belongs to; None if it belongs to none."""


class LatentStatistics(Frozen):
    """Statistics of q(z | x) over the test split; one value per latent dimension."""

    kl_nats: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


class DirectionEffect(Frozen):
    """Mean changes of images by a move along a direction."""

    by: float
    """Size of the move, in standard deviations of the latents along the direction."""
    changes: dict[str, float] = {}
    """Attribute -> mean change, in standard deviations of the attribute over training images."""
    keeps_class: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of images that keep their class; None if no classifier can tell."""
    gets_class: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of images of other classes that get the class of the direction; None for attributes."""


MAX_DIRECTIONS = 1024
"""Largest number of directions of a version; 62 letters and their attributes need fewer than 80."""
MAX_DIRECTION_NAME = 200
"""Largest number of characters in the name of a direction."""


class Direction(Frozen):
    """A direction of the latent space, and its measured effects."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_DIRECTION_NAME)]
    """Attribute of the data set that changes, or `class:` and the name of a class."""
    r2: float | None = None
    """R^2 of the predictor that measures the attribute in images; None if it is measured itself."""
    effects: tuple[DirectionEffect, ...] = ()


class DirectionTable(Frozen):
    """The directions of a version, in the order of the rows of directions.safetensors."""

    protocol: str
    """How the directions were found, and how their effects were measured."""
    entries: tuple[Direction, ...] = Field(min_length=1, max_length=MAX_DIRECTIONS)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all directions."""
        return tuple(entry.name for entry in self.entries)


class FileRecord(Frozen):
    """Size and checksum of one file of a version."""

    sha256: Sha256
    size_bytes: NonNegativeInt = Field(le=MAX_FILE_BYTES)


class Description(Frozen):
    """The part of a manifest that the publisher provides; the store adds version and checksums."""

    spec: ModelSpec
    training: TrainingRecord
    metrics: dict[str, Metric] = {}
    latents: LatentStatistics | None = None
    classes: tuple[str, ...] | None = None
    """Names of the classes in the order of their labels; None if the data set has no labels."""
    directions: DirectionTable | None = None
    """Directions of the latent space with a meaning; None if the version has none."""
    warnings: tuple[str, ...] = Field(default=(), exclude_if=lambda warnings: not warnings)
    """Sentences about faults of the result, such as reconstructions like the mean image."""

    @model_validator(mode="after")
    def _check_that_each_latent_dimension_has_statistics(self) -> Self:
        if self.latents is None:
            return self
        for name in ("kl_nats", "mean", "std"):
            values = len(getattr(self.latents, name))
            if values != self.spec.latent:
                raise ValueError(
                    f"latents.{name} has {values} values for {self.spec.latent} latent dimensions"
                )
        return self


Arithmetic = Literal["float", "exact-1"]
"""Arithmetic of a version: `exact-1` gives the same bytes on every machine, `float` does not."""


class Manifest(Description):
    """manifest.json: one immutable version of a model."""

    format_version: Literal[1] = 1
    arithmetic: Arithmetic = "float"
    """Arithmetic of the network that is served and measured; see docs/arithmetic.md."""
    name: Name
    version: PositiveInt
    created_at: datetime
    files: dict[FileName, FileRecord] = Field(max_length=MAX_FILES)

    @model_validator(mode="after")
    def _check_the_size_of_all_files(self) -> Self:
        total = sum(file.size_bytes for file in self.files.values())
        if total > MAX_VERSION_BYTES:
            raise ValueError(f"the files have {total} bytes, at most {MAX_VERSION_BYTES} are read")
        return self

    @property
    def ref(self) -> ModelRef:
        """Return `name@version`."""
        return ModelRef(name=self.name, version=self.version)

    @property
    def description(self) -> Description:
        """Return the part that the publisher provided."""
        return Description(**{name: getattr(self, name) for name in Description.model_fields})

    @property
    def weights_sha256(self) -> str:
        """Return the SHA-256 of the file of the served network, which identifies the weights."""
        name = "weights" if self.arithmetic == "float" else "exact"
        return self.files[f"{name}.safetensors"].sha256

    @property
    def labelled(self) -> bool:
        """Return True if the version can draw images of a given class."""
        return self.classes is not None and "class_latents.safetensors" in self.files

    @property
    def direction_names(self) -> tuple[str, ...]:
        """Return the names of the directions that the version can move latents along."""
        return () if self.directions is None else self.directions.names

    @property
    def figures(self) -> tuple[str, ...]:
        """Return the names of the figures, without `.png`, sorted."""
        return tuple(sorted(f.removesuffix(".png") for f in self.files if f.endswith(".png")))

    def informative_dimensions(self) -> tuple[int, ...]:
        """Return all latent dimensions, largest KL first; ascending if the KL is unknown."""
        if self.latents is None:
            return tuple(range(self.spec.latent))
        kl_nats = self.latents.kl_nats
        return tuple(sorted(range(self.spec.latent), key=lambda d: (-kl_nats[d], d)))
