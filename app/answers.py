"""Answers: which format, which headers, and images as PNG or base64."""

import base64
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.engine import LoadedModel
from app.errors import NotAcceptableError
from app.formats import encode_png, make_grid
from app.images import to_bytes

MEDIA_TYPES = {"png": "image/png", "json": "application/json"}


def choose_format(request: Request, wish: str | None, offered: Sequence[str]) -> str:
    """The format that was asked for by name, else the one that Accept likes best.

    The first of those offered wins a tie. Raises NotAcceptableError.
    """
    if wish is not None:
        return wish
    accepted = _accepted(request.headers.get("accept") or "*/*")
    best = max(offered, key=lambda name: _quality(MEDIA_TYPES[name], accepted))
    if _quality(MEDIA_TYPES[best], accepted) <= 0:
        raise NotAcceptableError(
            f"none of {', '.join(offered)} is acceptable to this client",
            remedy=f"accept {MEDIA_TYPES[offered[0]]}, or choose with format=",
        )
    return best


def _accepted(header: str) -> dict[str, float]:
    """Media range -> quality, RFC 9110 section 12.5.1; what cannot be read counts as 1."""
    ranges = {}
    for item in header.lower().split(","):
        media_range, *options = (part.strip() for part in item.split(";"))
        quality = next((o[2:] for o in options if o.startswith("q=")), "1")
        try:
            ranges[media_range] = min(max(float(quality), 0.0), 1.0)
        except ValueError:
            ranges[media_range] = 1.0
    return ranges


def _quality(media_type: str, accepted: Mapping[str, float]) -> float:
    """The most specific range decides."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((accepted[name] for name in ranges if name in accepted), 0.0)


def provenance(model: LoadedModel) -> dict[str, str]:
    """Which weights made an answer."""
    return {"model": str(model.ref), "weights_sha256": model.manifest.weights_sha256}


def parameters(endpoint: str, model: LoadedModel, **asked: object) -> dict[str, object]:
    """What a PNG says about how to get it again; what is None is left out."""
    given = {name: value for name, value in asked.items() if value is not None}
    return {"endpoint": endpoint, **provenance(model), **given}


def png(
    pixels: NDArray[np.float32],
    columns: int,
    model: LoadedModel,
    *,
    parameters: Mapping[str, object] | None,
    seed: int | None = None,
) -> Response:
    """All images in one PNG, laid out as a grid."""
    content = encode_png(make_grid(to_bytes(pixels), columns), parameters)
    return Response(content, headers=_headers(model, seed), media_type=MEDIA_TYPES["png"])


def json(answer: BaseModel, model: LoadedModel, *, seed: int | None = None) -> Response:
    """The same facts as numbers."""
    return Response(
        answer.model_dump_json(), headers=_headers(model, seed), media_type=MEDIA_TYPES["json"]
    )


def base64_png(image: NDArray[np.float32]) -> str:
    """One image, (channels, height, width) in [0, 1]."""
    return base64.b64encode(encode_png(to_bytes(image))).decode()


def square(n: int) -> int:
    """Columns of the squarest grid of n images: ceil(sqrt(n))."""
    return math.isqrt(n - 1) + 1


def _headers(model: LoadedModel, seed: int | None) -> dict[str, str]:
    headers = {"X-Model": str(model.ref), "X-Weights-SHA256": model.manifest.weights_sha256}
    return headers if seed is None else headers | {"X-Seed": str(seed)}
