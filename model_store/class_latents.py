"""Where the latents of each class lie: Gaussian mixtures, so that a label can be asked for.

One mixture a class, as values of numpy: the service draws from them without a tensor. They lie in
the space of N(0, I), or, under a flow, in that of q(z | x), where classes are rounder: there what is
drawn goes through the flow (`VAE.to_u`). In the store they are `class_latents.safetensors`, listed
in the manifest's files:

    weights   (classes, components)                          float32, 0 where a class has fewer
    means     (classes, components, latent)                  float16
    factors   (classes, components, latent (latent + 1) / 2) float16, lower triangles row by row
    least     (), p(class | z) that a draw must have; missing where any will do  float32
    in_z      (), 1 where the mixtures lie in the space of q(z | x); else missing uint8

Sixteen bits move a latent by a thousandth of its spread, which no image shows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_LEAST_FACTOR = 1e-4
"""Of a diagonal; far below any posterior's sigma, far above what float16 rounds to zero."""

MOST_TRIES = 8
"""Draws for one latent of a class; with nine of ten kept, one in 10^8 needs more."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k weights[k] N(means[k], F_k F_k^T), F_k = factors[k] lower triangular, diagonal > 0.

    weights (components,), means (components, latent), factors (components, latent, latent), all
    float64 and read-only. Raises ValueError where they do not fit.
    """

    weights: Array
    means: Array
    factors: Array

    def __post_init__(self) -> None:
        for name in ("weights", "means", "factors"):
            array = np.array(getattr(self, name), np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check()

    @property
    def latent(self) -> int:
        """Number of dimensions."""
        return int(self.means.shape[1])

    def sample(self, uniform: float, eps: Array) -> Array:
        """One latent from a number in [0, 1) and eps ~ N(0, I); both (latent,).

        The number chooses the component, eps the place in it; no other randomness. Sums run in
        a fixed order, so the same arguments give the same bytes.
        """
        component = self.component(uniform)
        return np.asarray(self.means[component] + (self.factors[component] * eps).sum(axis=1))

    def component(self, uniform: float) -> int:
        """Which component a number in [0, 1) chooses, each as often as it weighs."""
        below = np.cumsum(self.weights) <= uniform * math.fsum(self.weights)
        return min(int(below.sum()), len(self.weights) - 1)

    def _check(self) -> None:
        components = len(self.weights) if self.weights.ndim == 1 else 0
        if components == 0 or self.means.ndim != 2 or len(self.means) != components:
            raise ValueError("a mixture needs a weight and a mean for each component, at least one")
        expected = (components, self.latent, self.latent)
        if self.factors.shape != expected:
            raise ValueError(f"factors are {self.factors.shape}, the means ask for {expected}")
        if not all(np.isfinite(part).all() for part in (self.weights, self.means, self.factors)):
            raise ValueError("a mixture holds a number that is NaN or infinite")
        if (self.weights <= 0).any() or not math.isclose(math.fsum(self.weights), 1, abs_tol=1e-3):
            raise ValueError(f"weights must be positive and sum to 1, got {self.weights.tolist()}")
        diagonals = np.diagonal(self.factors, axis1=1, axis2=2)
        if (diagonals <= 0).any() or np.triu(self.factors, 1).any():
            raise ValueError("factors must be lower triangular with a positive diagonal")


@dataclass(frozen=True, eq=False)
class ClassLatents(Sequence[GaussianMixture]):
    """The mixtures of all classes, in their order, and what of them is a class's own.

    Gaussians have tails where the data has none, and there classes overlap. A latent drawn for a
    class is kept where p(class | z) >= least, all classes being equally frequent.
    """

    mixtures: tuple[GaussianMixture, ...] = ()
    least: float = 0.0
    in_z: bool = False
    """Whether they lie in the space of q(z | x), before a flow, and not in that of N(0, I)."""

    def __len__(self) -> int:
        """Number of classes; 0 where nothing is known of them."""
        return len(self.mixtures)

    @overload
    def __getitem__(self, label: int) -> GaussianMixture: ...
    @overload
    def __getitem__(self, label: slice) -> tuple[GaussianMixture, ...]: ...
    def __getitem__(self, label: int | slice) -> GaussianMixture | tuple[GaussianMixture, ...]:
        """The mixture of a class."""
        return self.mixtures[label]

    @property
    def tries(self) -> int:
        """How many draws `draw` may need."""
        return MOST_TRIES if self.least > 0 else 1

    def draw(self, label: int, uniforms: Sequence[float], eps: Array) -> Array:
        """The first latent that is the class's own, else the one most its own; (latent,).

        uniforms (tries,) in [0, 1), eps (tries, latent) ~ N(0, I). Sums have one shape whatever
        else is drawn, so the same arguments give the same bytes.
        """
        best, most = np.empty(0), -1.0
        for uniform, row in zip(uniforms, eps, strict=True):
            z = self.mixtures[label].sample(uniform, row)
            share = self.share(label, z) if self.least > 0 else 1.0
            if share > most:
                best, most = z, share
            if share >= self.least:
                break
        return best

    def share(self, label: int, z: Array) -> float:
        """p(class | z) of one latent, (latent,); between 0 and 1."""
        whitened = (self._whitening @ (z - self._means)[:, :, None])[:, :, 0]
        log_density = self._log_norm - 0.5 * (whitened * whitened).sum(axis=1)
        density = np.exp(log_density - log_density.max())
        return float(density[self._class == label].sum() / density.sum())

    @cached_property
    def _class(self) -> NDArray[np.intp]:
        """Of each component of each class; (components,)."""
        return np.repeat(np.arange(len(self)), [len(m.weights) for m in self.mixtures])

    @cached_property
    def _means(self) -> Array:
        return self._joined("means")

    @cached_property
    def _whitening(self) -> Array:
        """F^-1 of each component."""
        return np.asarray(np.linalg.inv(self._joined("factors")), np.float64)

    @cached_property
    def _log_norm(self) -> Array:
        """ln of the weight and of 1 / det F; what is common to all components is left out."""
        diagonals = np.diagonal(self._joined("factors"), axis1=1, axis2=2)
        return np.asarray(np.log(self._joined("weights")) - np.log(diagonals).sum(axis=1))

    def _joined(self, part: Literal["weights", "means", "factors"]) -> Array:
        """That part of the components of all classes, one class after the other."""
        return np.concatenate([getattr(mixture, part) for mixture in self.mixtures])


NO_CLASSES = ClassLatents()


def to_arrays(classes: ClassLatents) -> dict[str, NDArray[np.generic]]:
    """What the store keeps: the arrays above, of mixtures of one latent size."""
    mixtures = classes.mixtures
    components = max(len(mixture.weights) for mixture in mixtures)
    latent = mixtures[0].latent
    rows, columns = np.tril_indices(latent)
    weights = np.zeros((len(mixtures), components), np.float32)
    means = np.zeros((len(mixtures), components, latent), np.float16)
    factors = np.zeros((len(mixtures), components, len(rows)), np.float16)
    on_diagonal = rows == columns
    for label, mixture in enumerate(mixtures):
        used = slice(len(mixture.weights))
        weights[label, used] = mixture.weights
        means[label, used] = mixture.means
        triangle = mixture.factors[:, rows, columns]
        triangle[:, on_diagonal] = triangle[:, on_diagonal].clip(_LEAST_FACTOR)
        factors[label, used] = triangle
    arrays: dict[str, NDArray[np.generic]] = {
        "weights": weights,
        "means": means,
        "factors": factors,
    }
    if classes.least > 0:
        arrays["least"] = np.array(classes.least, np.float32)
    if classes.in_z:
        arrays["in_z"] = np.array(1, np.uint8)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> ClassLatents:
    """The mixtures of what the store keeps; raises ValueError where the arrays do not fit."""
    if arrays.keys() - {"least", "in_z"} != {"weights", "means", "factors"}:
        raise ValueError(f"expected weights, means and factors, found {', '.join(sorted(arrays))}")
    weights, means, triangles = (
        arrays[n].astype(np.float64) for n in ("weights", "means", "factors")
    )
    if weights.ndim != 2 or means.ndim != 3 or means.shape[:2] != weights.shape:
        raise ValueError(f"weights are {weights.shape}, means {means.shape}")
    latent = means.shape[2]
    rows, columns = np.tril_indices(latent)
    if triangles.shape != (*weights.shape, len(rows)):
        raise ValueError(f"factors are {triangles.shape}, the means {means.shape}")
    factors = np.zeros((*weights.shape, latent, latent))
    factors[:, :, rows, columns] = triangles
    least = float(arrays["least"].item()) if "least" in arrays else 0.0
    if not 0.0 <= least < 1.0:
        raise ValueError(f"least is a probability below 1, got {least}")
    used = weights != 0  # of a class with fewer components than another; NaN counts, and fails
    mixtures = tuple(
        GaussianMixture(weights[label, u], means[label, u], factors[label, u])
        for label, u in enumerate(used)
    )
    return ClassLatents(mixtures, least, in_z=bool("in_z" in arrays and arrays["in_z"].item()))


def as_stored(classes: ClassLatents) -> ClassLatents:
    """What comes back from the store: measure these, so that measuring again finds the same."""
    return from_arrays(to_arrays(classes))
