"""Directions in the latent space along which one attribute of an image changes. Needs only numpy.

A direction is a vector of the latent space: the latent moves by it once for each standard deviation
that its attribute shall change. The names of attributes are those of the data set, such as `slant`;
the direction towards a class is named `class:` and the class, such as `class:7`. The store keeps the
vectors in `directions.safetensors`, and their names, in the same order, in the manifest:

    steps   (directions, latent)   float32
    in_z    ()   1 if before_flow; else missing   uint8

For a model with a flow, the vectors may lie in the space of z ~ q(z | x) instead of u ~ N(0, I): a
latent is then mapped to z, moved, and mapped back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model_store.spec import MAX_DIRECTIONS

Floats = NDArray[np.float32]

CLASS_PREFIX = "class:"
"""Beginning of the name of a direction towards a class."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Vectors of the latent space with names.

    Raises ValueError if names and vectors do not fit one another.

    Attributes:
        names: unique names, in the order of the rows of `steps`.
        steps: (directions, latent), float32, finite and read-only; a move by one standard deviation.
        before_flow: True if the vectors lie in the space of q(z | x), False if in that of N(0, I).
    """

    names: tuple[str, ...] = ()
    steps: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    before_flow: bool = False

    def __post_init__(self) -> None:
        steps = np.array(self.steps, np.float32)
        steps.setflags(write=False)
        object.__setattr__(self, "steps", steps)
        if steps.ndim != 2 or len(steps) != len(self.names):
            raise ValueError(f"{len(self.names)} directions have steps of shape {steps.shape}")
        if len(self.names) > MAX_DIRECTIONS:
            raise ValueError(f"{len(self.names)} directions are more than {MAX_DIRECTIONS}")
        if len(set(self.names)) < len(self.names):
            raise ValueError("two directions have one name")
        if not np.isfinite(steps).all():
            raise ValueError("a direction holds a number that is NaN or infinite")

    def __len__(self) -> int:
        """Return the number of directions."""
        return len(self.names)

    @property
    def latent(self) -> int:
        """Return the number of latent dimensions."""
        return int(self.steps.shape[1])

    def step(self, name: str) -> Floats:
        """Return the move by one standard deviation of a direction, (latent,); raises KeyError."""
        if name not in self.names:
            raise KeyError(name)
        return np.asarray(self.steps[self.names.index(name)])


NO_DIRECTIONS = Directions()


def class_direction(label: str) -> str:
    """Return the name of the direction towards a class."""
    return f"{CLASS_PREFIX}{label}"


def to_arrays(directions: Directions) -> dict[str, NDArray[np.generic]]:
    """Return the arrays that the store keeps."""
    arrays: dict[str, NDArray[np.generic]] = {"steps": directions.steps}
    if directions.before_flow:
        arrays["in_z"] = np.array(1, np.uint8)
    return arrays


def from_arrays(names: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> Directions:
    """Return the directions of the arrays that the store keeps; raises ValueError if they do not fit."""
    if arrays.keys() - {"in_z"} != {"steps"}:
        raise ValueError(f"expected steps, found {', '.join(sorted(arrays)) or 'nothing'}")
    steps = arrays["steps"]
    if steps.dtype != np.float32:
        raise ValueError(f"steps are {steps.dtype}, float32 is expected")
    in_z = arrays.get("in_z", np.zeros((), np.uint8))
    if in_z.shape != () or in_z.dtype != np.uint8:
        raise ValueError(f"in_z is {in_z.shape} {in_z.dtype}, one uint8 is expected")
    before_flow = bool(in_z)
    return Directions(tuple(names), steps.astype(np.float32, copy=False), before_flow)
