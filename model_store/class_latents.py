"""Distributions of the latents of each class, for images drawn by label. Needs only numpy.

Each class has one Gaussian mixture. The mixtures lie in the space of u ~ N(0, I), or, for a model
with a flow, in the space of z ~ q(z | x), in which classes have simpler shapes; a draw from the
space of z is then mapped through the flow (`VAE.to_u`). The store keeps them in
`class_latents.safetensors`:

    weights   (classes, components)                          float32, 0 beyond a class's components
    means     (classes, components, latent)                  float16
    factors   (classes, components, latent (latent + 1) / 2) float16, lower triangles row by row
    least     ()  min_class_probability; missing if 0        float32
    in_z      ()  1 if before_flow; else missing             uint8

Rounding to 16 bits moves a latent by a thousandth of its standard deviation, which no image shows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic import rounding

Array = NDArray[np.float64]
_MIN_DIAGONAL = 1e-4
"""Smallest diagonal entry of a stored factor; below any posterior's sigma, and not 0 in float16."""

MAX_DRAWS = 8
"""Largest number of draws for one latent; if 9 in 10 are kept, one latent in 10^8 needs more."""

MAX_FACTORS = 2**26
"""Largest number of values of all factors: 512 MiB; a version with 128 latents has 163,840."""

_COMPARED = Context(prec=40)
"""Context for comparisons; decimals are computed with more digits, so equal ones compare equal."""
_UNDECIDED = 1e-9
"""Difference of probabilities below which decimals decide; float64 has errors of about 10^-13."""


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """sum_k weights[k] N(means[k], F_k F_k^T), F_k = factors[k] lower triangular, diagonal > 0.

    Raises ValueError if the arrays do not fit one another.

    Attributes:
        weights: (components,), positive, sum 1.
        means: (components, latent).
        factors: (components, latent, latent).

    The arrays are float64 and read-only.
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
        """Return the number of latent dimensions."""
        return int(self.means.shape[1])

    def sample(self, uniform: float, eps: Array) -> Array:
        """Return one latent, (latent,), from a number in [0, 1) and eps ~ N(0, I), (latent,).

        The number chooses the component, eps the position in it; there is no other randomness.
        Sums run in a fixed order, so the same arguments give the same bytes.
        """
        component = self.component(uniform)
        moved = rounding.sequential_sum(self.factors[component] * eps)
        return np.asarray(self.means[component] + moved)

    def component(self, uniform: float) -> int:
        """Return the component that a number in [0, 1) chooses, in proportion to the weights."""
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
    """One mixture for each class, in the order of the labels.

    Gaussians overlap where the data have no images. So a latent drawn for a class is kept only if
    p(class | z), computed for equally frequent classes, is high enough.

    Attributes:
        mixtures: one for each class; empty if the model has none.
        min_class_probability: smallest p(class | z) of a latent that is kept, in [0, 1).
        before_flow: True if the mixtures lie in the space of q(z | x), False if in that of N(0, I).
    """

    mixtures: tuple[GaussianMixture, ...] = ()
    min_class_probability: float = 0.0
    before_flow: bool = False

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.mixtures)

    @overload
    def __getitem__(self, label: int) -> GaussianMixture: ...
    @overload
    def __getitem__(self, label: slice) -> tuple[GaussianMixture, ...]: ...
    def __getitem__(self, label: int | slice) -> GaussianMixture | tuple[GaussianMixture, ...]:
        """Return the mixture of a class."""
        return self.mixtures[label]

    @property
    def max_draws(self) -> int:
        """Return the number of draws that `draw` may need for one latent."""
        return MAX_DRAWS if self.min_class_probability > 0 else 1

    def draw(self, label: int, uniforms: Sequence[float], eps: Array) -> Array:
        """Return the first draw that is probable enough, or else the most probable; (latent,).

        The same arguments give the same bytes on every machine: a probability that is too near to
        a limit for float64 to decide is computed again with decimals.

        Args:
            label: index of the class.
            uniforms: (max_draws,) in [0, 1).
            eps: (max_draws, latent), ~ N(0, I).
        """
        mixture, required = self.mixtures[label], self.min_class_probability
        if required <= 0:
            return mixture.sample(uniforms[0], eps[0])
        draws: list[Array] = []
        probabilities: list[float] = []
        for uniform, row in zip(uniforms, eps, strict=True):
            z = mixture.sample(uniform, row)
            probability = self.class_probability(label, z)
            if abs(probability - required) < _UNDECIDED:
                exact = self._decimal_probability(label, z)
                probability = required if exact >= Decimal(required) else required - _UNDECIDED
            if probability >= required:
                return z
            draws.append(z)
            probabilities.append(probability)
        return draws[self._most_probable(label, draws, probabilities)]

    def _most_probable(
        self, label: int, draws: Sequence[Array], probabilities: Sequence[float]
    ) -> int:
        """Return the index of the most probable draw; the first one if several are equal."""
        highest = max(probabilities)
        near = [i for i, p in enumerate(probabilities) if p >= highest - 2 * _UNDECIDED]
        if len(near) == 1:
            return near[0]
        return max(near, key=lambda i: (self._decimal_probability(label, draws[i]), -i))

    def class_probability(self, label: int, z: Array) -> float:
        """Return p(class | z) of one latent, z (latent,); in [0, 1]."""
        whitened = (self._whitening @ (z - self._means)[:, :, None])[:, :, 0]
        log_density = self._log_norm - 0.5 * (whitened * whitened).sum(axis=1)
        density = np.exp(log_density - log_density.max())
        return float(density[self._labels == label].sum() / density.sum())

    def _decimal_probability(self, label: int, z: Array) -> Decimal:
        """Return p(class | z) of one latent with forty digits; some 10 ms."""
        context = rounding.DIGITS
        own, total = Decimal(0), Decimal(0)
        for place, mixture in enumerate(self.mixtures):
            for weight, mean, factor in zip(
                mixture.weights.tolist(), mixture.means, mixture.factors.tolist(), strict=True
            ):
                density = context.multiply(
                    Decimal(weight), _decimal_density((z - mean).tolist(), factor)
                )
                total = context.add(total, density)
                own = context.add(own, density) if place == label else own
        return _COMPARED.divide(own, total)

    @cached_property
    def _labels(self) -> NDArray[np.intp]:
        """Return the class that each component belongs to; (components,)."""
        return np.repeat(np.arange(len(self)), [len(m.weights) for m in self.mixtures])

    @cached_property
    def _means(self) -> Array:
        return self._concatenated("means")

    @cached_property
    def _whitening(self) -> Array:
        """Return F^-1 of each component."""
        return np.asarray(np.linalg.inv(self._concatenated("factors")), np.float64)

    @cached_property
    def _log_norm(self) -> Array:
        """Return ln(weight / det F) of each component; constants common to all are left out."""
        diagonals = np.diagonal(self._concatenated("factors"), axis1=1, axis2=2)
        return np.asarray(np.log(self._concatenated("weights")) - np.log(diagonals).sum(axis=1))

    def _concatenated(self, part: Literal["weights", "means", "factors"]) -> Array:
        """Return one array of the components of all classes, one class after the other."""
        return np.concatenate([getattr(mixture, part) for mixture in self.mixtures])


NO_CLASSES = ClassLatents()


def _decimal_density(offset: Sequence[float], factor: Sequence[Sequence[float]]) -> Decimal:
    """Return exp(-|F^-1 offset|^2 / 2) / det F with fifty digits; F is lower triangular."""
    context = rounding.DIGITS
    whitened: list[Decimal] = []
    squares, determinant = Decimal(0), Decimal(1)
    for row, value in zip(factor, offset, strict=True):
        rest = Decimal(value)
        for entry, solved in zip(row, whitened, strict=False):
            rest = context.subtract(rest, context.multiply(Decimal(entry), solved))
        diagonal = Decimal(row[len(whitened)])
        solved = context.divide(rest, diagonal)
        whitened.append(solved)
        squares = context.add(squares, context.multiply(solved, solved))
        determinant = context.multiply(determinant, diagonal)
    return context.divide(context.exp(context.divide(context.minus(squares), 2)), determinant)


def to_arrays(classes: ClassLatents) -> dict[str, NDArray[np.generic]]:
    """Return the arrays that the store keeps; all mixtures must have equally many dimensions."""
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
        triangle[:, on_diagonal] = triangle[:, on_diagonal].clip(_MIN_DIAGONAL)
        factors[label, used] = triangle
    arrays: dict[str, NDArray[np.generic]] = {
        "weights": weights,
        "means": means,
        "factors": factors,
    }
    if classes.min_class_probability > 0:
        arrays["least"] = np.array(classes.min_class_probability, np.float32)
    if classes.before_flow:
        arrays["in_z"] = np.array(1, np.uint8)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> ClassLatents:
    """Return the mixtures of the arrays that the store keeps; raises ValueError if they do not fit."""
    if arrays.keys() - {"least", "in_z"} != {"weights", "means", "factors"}:
        raise ValueError(f"expected weights, means and factors, found {', '.join(sorted(arrays))}")
    stored = [arrays[name] for name in ("weights", "means", "factors")]
    latent = _check_shapes(*(array.shape for array in stored))
    weights, means, triangles = (array.astype(np.float64) for array in stored)
    rows, columns = np.tril_indices(latent)
    factors = np.zeros((*weights.shape, latent, latent))
    factors[:, :, rows, columns] = triangles
    least = float(arrays["least"].item()) if "least" in arrays else 0.0
    if not 0.0 <= least < 1.0:
        raise ValueError(f"least is a probability below 1, got {least}")
    used = weights != 0  # 0 marks absent components; NaN counts as used, and is refused
    mixtures = tuple(
        GaussianMixture(weights[label, u], means[label, u], factors[label, u])
        for label, u in enumerate(used)
    )
    before_flow = bool("in_z" in arrays and arrays["in_z"].item())
    return ClassLatents(mixtures, least, before_flow=before_flow)


def _check_shapes(
    weights: tuple[int, ...], means: tuple[int, ...], factors: tuple[int, ...]
) -> int:
    """Return the number of latent dimensions; raises ValueError if the shapes do not fit."""
    if len(weights) != 2 or len(means) != 3 or means[:2] != weights:
        raise ValueError(f"weights are {weights}, means {means}")
    components, latent = math.prod(weights), means[2]
    if factors != (*weights, latent * (latent + 1) // 2) or not math.prod(factors):
        raise ValueError(f"factors are {factors}, the means {means}")
    if components * latent**2 > MAX_FACTORS:
        raise ValueError(
            f"{components:,} components of {latent:,} dimensions have more than {MAX_FACTORS:,} "
            "factors"
        )
    return latent


def as_stored(classes: ClassLatents) -> ClassLatents:
    """Round the mixtures as the store does, so that measuring them again gives the same numbers."""
    return from_arrays(to_arrays(classes))
