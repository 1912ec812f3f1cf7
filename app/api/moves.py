"""Read from a request which latents move along which directions of a version."""

import re
from dataclasses import dataclass

import numpy as np
from starlette.requests import Request

from app.api.dependencies import Services
from app.api.encode_uploads import encode_uploads
from app.api.latents_body import read_latents
from app.api.limits import at_most
from app.api.queries import EditQuery, TraverseQuery
from app.api.request_body import content_type_of, read_uploads
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.sampling.latents import GENERATOR, consecutive_seeds, standard_normal
from app.typing import Bytes, Floats
from model_store.preprocessing import to_bytes

_MAX_LISTED = 20
"""Largest number of names of directions in a message."""
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


@dataclass(frozen=True, eq=False)
class Start:
    """The latents to move, (images, latent), and where they came from."""

    z: Floats
    uploads: Bytes | None = None
    """The uploads as the model sees them, in 0..255; None if there were none."""
    stored: bool = False
    """True if the latents are needed to reproduce the answer: they came with the request."""

    def parameters(self, query: EditQuery | TraverseQuery) -> dict[str, object]:
        """Return the parameters that reproduce the latents; one latent at most is stored."""
        return {
            "seed": query.seed,
            "generator": None if query.seed is None else GENERATOR,
            "images": len(self.z) if len(self.z) > 1 else None,
            "preprocess": query.preprocess if self.uploads is not None else None,
            "z": self.z[0].tolist() if self.stored and len(self.z) == 1 else None,
        }


async def read_start(
    request: Request,
    query: EditQuery | TraverseQuery,
    model: LoadedModel,
    services: Services,
    *,
    most: int,
    zero: bool = False,
) -> Start:
    """Return the latents of uploads, of a seed or of a JSON body.

    Raises ParameterError if there is more than one source, and, unless `zero`, if there is none.
    """
    settings = services.settings
    remedy = "send images, or latents as JSON, or a seed"
    if content_type_of(request) == "application/json":
        if query.seed is not None:
            raise ParameterError("both latents and a seed were sent", remedy=remedy)
        z = await read_latents(request, model.latent, max_rows=most)
        at_most("the number of rows of z", len(z), most, "ZSERVE_MAX_IMAGES")
        if not len(z):
            raise ParameterError("z has no rows", remedy=remedy)
        return Start(z, stored=True)
    sent = (await read_uploads(request, ["image"], settings)).get("image", ())
    if sent and query.seed is not None:
        raise ParameterError("both images and a seed were sent", remedy=remedy)
    if sent:
        at_most("the number of images", len(sent), most, "ZSERVE_MAX_IMAGES")
        x, mu, _ = await encode_uploads(sent, query, model, services)
        return Start(np.asarray(mu, np.float32), to_bytes(x), stored=True)
    if query.seed is not None:
        return Start(standard_normal(consecutive_seeds(query.seed, 1), model.latent))
    if zero:
        return Start(np.zeros((1, model.latent), np.float32))
    raise ParameterError("there is nothing to edit", remedy=remedy)
