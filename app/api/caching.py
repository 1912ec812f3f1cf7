"""ETags, cache headers and conditional requests."""

import hashlib
import json
import re
from collections.abc import Mapping

from starlette.requests import Request

from app.api.result import OutputOptions
from app.imaging.version import ENCODERS_VERSION
from app.inference.loaded_model import LoadedModel
from app.sampling.latents import GENERATOR

_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def etag(model: LoadedModel, output: OutputOptions, parameters: Mapping[str, object]) -> str:
    """Return the ETag of an answer, before the answer is made.

    The ETag depends on everything that determines the bytes: parameters, which name the weights,
    output options, and the versions of the code that computes them. The ETag of an exact model is
    the same on every machine; that of a float model depends on the results of this machine.
    """
    versions = (ENCODERS_VERSION, GENERATOR, model.arithmetic)
    identity = json.dumps([versions, vars(output), parameters], sort_keys=True)
    return f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'


def cache_headers(tag: str | None, *, immutable: bool) -> dict[str, str]:
    """Return the headers for caches.

    Args:
        tag: ETag of the answer; None if its seed was chosen at random.
        immutable: True if the answer never changes: the request names an exact version. The answer
            for an alias changes when the alias moves, and that of a float version when another
            machine computes it.
    """
    if tag is None:
        return {"Cache-Control": "no-store"}
    lifetime = "max-age=31536000, immutable" if immutable else "no-cache"
    return {"ETag": tag, "Cache-Control": lifetime, "Vary": "Accept"}


def client_has(request: Request, tag: str) -> bool:
    """Return True if If-None-Match names this ETag, RFC 9110 section 13.1.2."""
    tags = ",".join(request.headers.getlist("if-none-match")).strip()
    return tags == "*" or tag in _ETAG.findall(tags)
