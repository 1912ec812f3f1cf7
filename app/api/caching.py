"""ETags, cache headers and conditional requests."""

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Mapping

from starlette.requests import Request

from app.api.result import OutputOptions
from app.imaging.version import ENCODERS_VERSION
from app.inference.loaded_model import LoadedModel
from app.sampling.latents import GENERATOR
from model_store.vae import ARITHMETIC

_COMPUTED_BY = f"{ARITHMETIC}-torch-{importlib.metadata.version('torch')}"
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def etag(model: LoadedModel, output: OutputOptions, parameters: Mapping[str, object]) -> str:
    """Return the ETag of an answer, before the answer is made.

    It names everything that determines the bytes: parameters, output options and the versions of
    all code that computes them.
    """
    versions = (ENCODERS_VERSION, GENERATOR, _COMPUTED_BY, model.device)
    identity = json.dumps([versions, vars(output), parameters], sort_keys=True)
    return f'"{hashlib.sha256(identity.encode()).hexdigest()[:32]}"'


def cache_headers(tag: str | None, *, pinned: bool) -> dict[str, str]:
    """Return the headers for caches.

    Args:
        tag: ETag of the answer; None if its seed was chosen at random.
        pinned: True if the request names a version, whose answer never changes. The answer for an
            alias changes when the alias moves.
    """
    if tag is None:
        return {"Cache-Control": "no-store"}
    lifetime = "max-age=31536000, immutable" if pinned else "no-cache"
    return {"ETag": tag, "Cache-Control": lifetime, "Vary": "Accept"}


def client_has(request: Request, tag: str) -> bool:
    """Return True if If-None-Match names this ETag, RFC 9110 section 13.1.2."""
    tags = ",".join(request.headers.getlist("if-none-match")).strip()
    return tags == "*" or tag in _ETAG.findall(tags)
