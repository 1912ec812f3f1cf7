"""Move latents along the directions of a version."""

import re
from collections.abc import Sequence

import numpy as np

from app.api.limits import at_most
from app.errors import ParameterError
from app.inference.engine import Engine
from app.inference.loaded_model import LoadedModel
from app.sampling.finite import check_float32
from app.sampling.paths import Doubles
from app.typing import Floats

_MAX_LISTED = 20
"""Names of directions in a message."""
_NUMBER = re.compile(r"[+-]?(\d{1,9}(\.\d{0,15})?|\.\d{1,15})", re.ASCII)


def choose_directions(text: str, model: LoadedModel, most: int) -> tuple[str, ...]:
    """Return the directions that a query names, separated by commas, which names may contain.

    Raises ParameterError if the version has no directions, or not these, and LimitError if there
    are more than `most`.
    """
    names = model.directions.names
    if not names:
        raise ParameterError(
            f"{model.name} has no directions",
            remedy="choose a version for which GET /models lists directions, or publish it again",
        )
    parts = text.split(",")
    longest = max(name.count(",") for name in names) + 1
    chosen: list[str] = []
    while parts:
        lengths = range(min(longest, len(parts)), 0, -1)
        matching = (n for n in lengths if ",".join(parts[:n]).strip() in names)
        n = next(matching, None)
        if n is None:
            raise _no_direction(parts[0].strip(), model)
        chosen.append(",".join(parts[:n]).strip())
        del parts[:n]
        if chosen[-1] in chosen[:-1]:
            raise ParameterError("direction: a name is repeated", remedy="name each one once")
    at_most("the number of directions", len(chosen), most, "ZSERVE_MAX_IMAGES")
    return tuple(chosen)


def _no_direction(name: str, model: LoadedModel) -> ParameterError:
    names = model.directions.names
    shown = ", ".join(names[:_MAX_LISTED])
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ParameterError(
        f"direction: {model.name} has no direction {name[:80]!r}",
        remedy=f"choose from {shown}{more}, separated by commas",
    )


def parse_moves(text: str, directions: int, limit: float) -> tuple[float, ...]:
    """Parse `2` or `2,-0.5` to one number for each direction.

    Raises ParameterError, and LimitError if a number is beyond the limit.
    """
    remedy = "send one decimal number for each direction, separated by commas, such as by=2,-0.5"
    parts = [part.strip() for part in text.split(",", directions)]
    if len(parts) != directions:
        raise ParameterError(
            f"by has {text.count(',') + 1} numbers for {directions} directions", remedy=remedy
        )
    for part in parts:
        if not _NUMBER.fullmatch(part):
            raise ParameterError(f"by: {part[:20]!r} is not a number", remedy=remedy)
    moves = tuple(float(part) for part in parts)
    at_most("by", max(abs(by) for by in moves), limit, "ZSERVE_MAX_SPAN")
    return moves


async def move(model: LoadedModel, engine: Engine, u: Floats, offsets: Doubles) -> Floats:
    """Add offsets to latents, in the space of the version's directions; all (batch, latent).

    A latent whose offset is 0 stays as it is. Raises NotFiniteError.
    """
    moved = offsets.any(axis=1)
    if not moved.any():
        return u
    before_flow = model.directions.before_flow
    z = await engine.to_z(model, u[moved]) if before_flow else u[moved]
    sums = z.astype(np.float64) + offsets[moved]
    check_float32(sums, "the moved latent")
    ends = sums.astype(np.float32)
    result = u.copy()
    result[moved] = await engine.to_u(model, ends) if before_flow else ends
    return result


def offset(model: LoadedModel, names: Sequence[str], moves: Sequence[float]) -> Doubles:
    """Return the sum of moves along directions, in the order of the request; (latent,), float64."""
    total = np.zeros(model.latent)
    for name, by in zip(names, moves, strict=True):
        total = total + by * model.directions.step(name).astype(np.float64)
    return total


def offsets_along(model: LoadedModel, name: str, values: Floats) -> Doubles:
    """Return one offset for each value; values (steps,) -> (steps, latent), float64."""
    step = model.directions.step(name).astype(np.float64)
    return values.astype(np.float64)[:, None] * step
