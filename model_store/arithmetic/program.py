"""Operations of an exact network, and the functions that they make up.

A function is a list of operations that are applied in order to one value of shape (batch, ...).
Weights are integers. The sum of integers of an output channel is multiplied by 2^-e, which is exact;
e is the channel's `exponent`. "Levels" are integers held in float32.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

LATENT_EXPONENT = 20
"""Latents are rounded to multiples of 2^-20 before the first layer."""
LATENT_LIMIT = 16
"""Latents are clamped to [-16, 16] before the first layer."""
SIGMOID_EXPONENT = 8
"""Logits are rounded to multiples of 2^-8 before the sigmoid."""
SIGMOID_LIMIT = 16
"""Logits are clamped to [-16, 16] before the sigmoid."""


@dataclass(frozen=True, eq=False)
class LatentDense:
    """Linear layer of latents, in float64: rint(W rint(z 2^20) + b), (batch, in) -> (batch, out).

    `weight` (out, in), `bias` (out,) and `exponent` (out,): the sum of integers times 2^-exponent,
    rounded to the nearest integer (ties to even), clamped to +-2^22, and held in float32.
    """

    weight: Int32
    bias: Int64
    exponent: Int32
    kind: Literal["latent_dense"] = field(default="latent_dense", init=False)


@dataclass(frozen=True, eq=False)
class Dense:
    """Linear layer of levels: 2^-exponent (W x + b); (batch, in) -> (batch, out)."""

    weight: Int16
    bias: Int32
    exponent: Int32
    kind: Literal["dense"] = field(default="dense", init=False)


@dataclass(frozen=True, eq=False)
class Convolution:
    """2-D convolution of levels; weight (out, in, kernel, kernel), the layout of torch's Conv2d."""

    weight: Int16
    bias: Int32
    exponent: Int32
    stride: int
    padding: int
    kind: Literal["convolution"] = field(default="convolution", init=False)


@dataclass(frozen=True, eq=False)
class Deconvolution:
    """Transposed convolution of levels; weight (in, out, kernel, kernel), as in ConvTranspose2d."""

    weight: Int16
    bias: Int32
    exponent: Int32
    stride: int
    padding: int
    output_padding: tuple[int, int]
    kind: Literal["deconvolution"] = field(default="deconvolution", init=False)


@dataclass(frozen=True, eq=False)
class Affine:
    """Per channel 2^-exponent (scale * clamp(rint(x), -limit, limit) + bias); any shape."""

    scale: Int16
    bias: Int32
    exponent: Int32
    limit: int
    kind: Literal["affine"] = field(default="affine", init=False)


@dataclass(frozen=True, eq=False)
class ReluLevels:
    """clamp(rint(x), 0, highest): integers."""

    highest: int
    kind: Literal["relu_levels"] = field(default="relu_levels", init=False)


@dataclass(frozen=True, eq=False)
class SiluLevels:
    """min(rint(scale * silu(rint(x) 2^-exponent)), highest): integers; `scale` is per channel."""

    scale: Floats
    highest: int
    exponent: int
    kind: Literal["silu_levels"] = field(default="silu_levels", init=False)


@dataclass(frozen=True, eq=False)
class Reshape:
    """(batch, ...) -> (batch, *shape), row-major."""

    shape: tuple[int, ...]
    kind: Literal["reshape"] = field(default="reshape", init=False)


@dataclass(frozen=True, eq=False)
class Fork:
    """Store the value for the next `Join`."""

    kind: Literal["fork"] = field(default="fork", init=False)


@dataclass(frozen=True, eq=False)
class Join:
    """Add the value that the last `Fork` stored: one addition in float32."""

    kind: Literal["join"] = field(default="join", init=False)


@dataclass(frozen=True, eq=False)
class FlowMap:
    """All couplings of a flow in one direction; latents (batch, latent) in float32.

    forward: z -> u, then the factors of all couplings in order: (batch, latent + factors)
    inverse: u -> z: (batch, latent)

    It is the first operation of a function, made of the couplings of a network when a version is
    loaded, and is not a part of a file.
    """

    couplings: "tuple[Coupling, ...]"
    latent: int
    inverse: bool
    kind: Literal["flow_map"] = field(default="flow_map", init=False)


Operation = (
    LatentDense
    | Dense
    | Convolution
    | Deconvolution
    | Affine
    | ReluLevels
    | SiluLevels
    | Reshape
    | Fork
    | Join
    | FlowMap
)

KINDS: dict[str, type[Operation]] = {
    "latent_dense": LatentDense,
    "dense": Dense,
    "convolution": Convolution,
    "deconvolution": Deconvolution,
    "affine": Affine,
    "relu_levels": ReluLevels,
    "silu_levels": SiluLevels,
    "reshape": Reshape,
    "fork": Fork,
    "join": Join,
}

Function = tuple[Operation, ...]


@dataclass(frozen=True, eq=False)
class Coupling:
    """One affine coupling of a flow: `net` maps the kept dimensions to raw scales and shifts."""

    kept: Literal[0, 1]
    net: Function

    def dimensions(self, latent: int) -> tuple[slice, slice]:
        """Return the places of the kept and of the changed ones of `latent` dimensions."""
        return slice(self.kept, latent, 2), slice(1 - self.kept, latent, 2)

    def changed(self, latent: int) -> int:
        """Return the number of dimensions that the coupling changes."""
        return len(range(latent)[self.dimensions(latent)[1]])


@dataclass(frozen=True, eq=False)
class ExactNetwork:
    """The functions of one exact VAE.

    encode: grey levels (batch, channels, height, width), integers 0 to 255 in float32
            -> (batch, 2 latent): mu, then logvar
    decode: latents (batch, latent), float32
            -> logits in units of 2^-8 (batch, channels, height, width)
    flow:   couplings from z to u; empty for the prior N(0, I)
    log_scale: ln of the scale of the discretised logistic, (channels,); None for Bernoulli pixels
    """

    encode: Function
    decode: Function
    flow: tuple[Coupling, ...] = ()
    log_scale: Floats | None = None

    def functions(self) -> dict[str, Function]:
        """Return all functions by their names in the file."""
        nets = {f"flow.{i}": coupling.net for i, coupling in enumerate(self.flow)}
        return {"encode": self.encode, "decode": self.decode} | nets
