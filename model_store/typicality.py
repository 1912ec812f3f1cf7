"""How typical an image is of the data of a version: a score, its quantile, and a verdict.

A likelihood alone does not tell: a model of garments gives digits a higher likelihood than garments,
because they are simpler (Nalisnick et al. 2019, "Do deep generative models know what they don't
know?"). The score is therefore made of four statistics of an image x, its reconstruction r and the
posterior mean mu, and of their spread over the training images (Morningstar et al. 2021, "Density of
States Estimation"):

    ln((0.001 + |x - r|^2) / (1 + V))     error of the reconstruction, relative to the complexity of x
    ln(0.001 + |mu|^2)                    norm of the latent, whose prior is N(0, I)
    ln(1 + V)                             complexity: V is the total variation of x
    ln(1 + |x|^2)                         brightness

Each is standardised by the mean and standard deviation of the training images. The score is the root
of the sum of squares; an error or a norm below the mean counts as 0. The input complexity takes the
part of the compressed size in Serra et al. 2020. docs/decisions/0087-typicality.md compares it with
other statistics.

Sums are of integers or in a fixed order, and logarithms are correctly rounded, so an exact version
gives the same score on every machine.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model_store import json_files
from model_store.arithmetic import rounding

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

STATISTICS = ("error", "latent_norm", "complexity", "brightness")
LEVELS = (*(i / 100 for i in range(100)), 0.999, 1.0)
"""Shares of the test images at which a table has quantiles."""
ATYPICAL = 0.99
"""Share of the test images with a smaller score, above which an image is atypical."""
OUT_OF_DISTRIBUTION = 0.999
"""Share of the test images with a smaller score, above which an image is out of distribution."""
MAX_BYTES = 64 * 1024
"""Largest typicality.json that is read; one has about 4 kB."""

Verdict = Literal["typical", "atypical", "out_of_distribution"]

_LEAST = 1e-3
"""Added to squared errors and norms, which may be 0."""
_LEAST_SCALE = 0.01
"""Smallest standard deviation of a statistic, for data whose images are all alike."""
_UPPER_TAIL = 2
"""Number of leading statistics that count only above their mean."""
_PLACES = 4
"""Decimals of stored numbers."""

MAX_NUMBER = 1e12
"""Largest absolute value of a stored number; scores, logarithms and nats are far smaller."""
_Finite = Annotated[float, Field(ge=-MAX_NUMBER, le=MAX_NUMBER, allow_inf_nan=False)]
_Row = Annotated[tuple[_Finite, ...], Field(min_length=4, max_length=4)]
_Quantiles = Annotated[tuple[_Finite, ...], Field(min_length=len(LEVELS), max_length=len(LEVELS))]


def statistics(x: Bytes, reconstructions: Bytes, mu: Floats) -> Doubles:
    """Return STATISTICS of images; (images, 4), float64 values that float32 represents.

    x and reconstructions are (images, channels, height, width) in 0..255; mu (images, latent) is the
    posterior mean in the space of N(0, I). Sums of squares stay below 2^53 and are thus exact.
    """
    seen = x.astype(np.int16)
    moved = (seen - reconstructions).reshape(len(x), -1).astype(np.float64)
    levels = seen.reshape(len(x), -1).astype(np.float64)
    variation = np.abs(seen[..., 1:, :] - seen[..., :-1, :]).sum(axis=(1, 2, 3), dtype=np.int64)
    variation += np.abs(seen[..., 1:] - seen[..., :-1]).sum(axis=(1, 2, 3), dtype=np.int64)
    complexity = 1.0 + variation / 255.0
    values = np.empty((len(x), len(STATISTICS)))
    values[:, 0] = (_LEAST + np.einsum("ij,ij->i", moved, moved) / 65025.0) / complexity
    values[:, 1] = _LEAST + rounding.sequential_sum(np.square(mu.astype(np.float64)))
    values[:, 2] = complexity
    values[:, 3] = 1.0 + np.einsum("ij,ij->i", levels, levels) / 65025.0
    return rounding.log(values).astype(np.float64)


class Typicality(BaseModel):
    """The table of a version, typicality.json: what its training and its test images are like.

    Attributes:
        measure: names the function from images to scores; another function gets another name.
        images: number of test images of `scores`.
        centre: mean of each of STATISTICS over training images.
        scale: standard deviation of each of STATISTICS over training images.
        scores: score of the test images at each of LEVELS, ascending.
        likelihood_images: number of test images of `elbo_nats` and `nll_nats`.
        draws: draws of z per image of these.
        elbo_nats: ELBO of the test images at each of LEVELS, nats, ascending.
        nll_nats: importance-weighted -ln p(x) of the test images at each of LEVELS, nats, ascending.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    measure: Literal["typicality-1"] = "typicality-1"
    images: int = Field(ge=1)
    centre: _Row
    scale: _Row
    scores: _Quantiles
    likelihood_images: int = Field(ge=1)
    draws: int = Field(ge=1)
    elbo_nats: _Quantiles
    nll_nats: _Quantiles

    @model_validator(mode="after")
    def _check(self) -> Self:
        if min(self.scale) < _LEAST_SCALE:
            raise ValueError(f"a scale is below {_LEAST_SCALE}")
        for name in ("scores", "elbo_nats", "nll_nats"):
            values = getattr(self, name)
            if any(a > b for a, b in pairwise(values)):
                raise ValueError(f"{name} are not ascending")
        return self

    @property
    def limit(self) -> float:
        """Return the score above which an image is atypical."""
        return self.scores[LEVELS.index(ATYPICAL)]

    def scores_of(self, x: Bytes, reconstructions: Bytes, mu: Floats) -> Doubles:
        """Return the score of each image; see `statistics` for the shapes."""
        return scores(statistics(x, reconstructions, mu), self.centre, self.scale)

    def verdict(self, score: float) -> Verdict:
        """Return the verdict on an image with this score."""
        if score <= self.limit:
            return "typical"
        highest = self.scores[LEVELS.index(OUT_OF_DISTRIBUTION)]
        return "atypical" if score <= highest else "out_of_distribution"


def scores(values: Doubles, centre: tuple[float, ...], scale: tuple[float, ...]) -> Doubles:
    """Return the scores of images whose statistics are `values`, (images, 4); (images,)."""
    z = (values - np.array(centre)) / np.array(scale)
    z[:, :_UPPER_TAIL] = np.maximum(z[:, :_UPPER_TAIL], 0.0)
    return np.sqrt(rounding.sequential_sum(np.square(z)))


def quantile(value: float, table: tuple[float, ...]) -> float:
    """Return the share of test images with a smaller value, by linear interpolation; in [0, 1]."""
    above = int(np.searchsorted(np.array(table), value, side="left"))
    if above == 0:
        return 0.0
    if above == len(table):
        return 1.0
    low, high = table[above - 1], table[above]
    share = (value - low) / (high - low)
    return LEVELS[above - 1] + share * (LEVELS[above] - LEVELS[above - 1])


def fit(
    train: Doubles, test: Doubles, *, elbo_nats: Doubles, nll_nats: Doubles, draws: int
) -> Typicality:
    """Return the table of a version.

    `train` and `test` are the statistics of training and test images, (images, 4); `elbo_nats` and
    `nll_nats` (images,) are estimates by this many draws per test image.
    """
    centre = _rounded(train.mean(axis=0))
    scale = tuple(max(each, _LEAST_SCALE) for each in _rounded(train.std(axis=0)))
    return Typicality(
        images=len(test),
        centre=centre,
        scale=scale,
        scores=_rounded(np.quantile(scores(test, centre, scale), LEVELS)),
        likelihood_images=len(nll_nats),
        draws=draws,
        elbo_nats=_rounded(np.quantile(elbo_nats, LEVELS)),
        nll_nats=_rounded(np.quantile(nll_nats, LEVELS)),
    )


def to_bytes(table: Typicality) -> bytes:
    """Return the content of typicality.json."""
    return (table.model_dump_json() + "\n").encode()


def from_bytes(content: bytes) -> Typicality:
    """Read typicality.json; raises CorruptVersionError."""
    return json_files.read(Typicality, content, MAX_BYTES)


def _rounded(values: Doubles) -> tuple[float, ...]:
    return tuple(round(float(value), _PLACES) for value in values)
