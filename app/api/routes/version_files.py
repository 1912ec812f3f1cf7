"""/models/{name}/{version}/files: what a client needs to compute with an exact version by itself."""

import functools
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.api import content_coding
from app.api.caching import cache_headers, client_has
from app.api.dependencies import ServicesDep
from app.api.negotiation import qualities
from app.api.openapi import BINARY, problems
from app.api.routes.models import Name, Version
from model_store.errors import FileNotInVersionError
from model_store.spec import ModelRef
from model_store.store import Store

router = APIRouter(tags=["models"])

_KEPT = 4
"""Compressed files that are kept, of a few megabytes each."""
_MEDIA_TYPES = {
    "exact.safetensors": "application/octet-stream",
    "golden.json": "application/json",
}


@router.get(
    "/models/{name}/{version}/files/{file}",
    summary="Load a file of a version",
    operation_id="show_file",
    response_class=Response,
    responses={
        200: {
            "description": "The file, compressed if the client accepts gzip.",
            "content": {
                "application/octet-stream": {"schema": BINARY},
                "application/json": {"schema": {"type": "object"}},
            },
        },
        304: {"description": "The client has the file, as If-None-Match says."},
        **problems(404, 422, 503),
    },
)
def show_file(
    services: ServicesDep,
    request: Request,
    name: Name,
    version: Version,
    file: Annotated[
        Literal["exact.safetensors", "golden.json"],
        Path(description="The integer weights, or the hashes of the results for fixed inputs."),
    ],
) -> Response:
    """Return a file with which a client can compute as the service does, to the bit.

    docs/arithmetic.md specifies both files. Those of a version never change, and its manifest has their
    SHA-256; those of an alias change when the alias moves.
    """
    store = services.store
    ref = store.resolve(ModelRef.parse(f"{name}@{version}"))
    record = store.manifest(ref).files.get(file)
    if record is None:
        raise FileNotInVersionError(f"{ref} is not an exact version, so it has no {file}")
    accepted = qualities(request.headers.get("accept-encoding", ""))
    coding = content_coding.choose_coding(accepted)
    tag = f'"{record.sha256[:32]}{f"-{coding}" if coding else ""}"'
    headers = cache_headers(tag, immutable=version.isdecimal()) | {"Vary": "Accept-Encoding"}
    if client_has(request, tag):
        return Response(status_code=304, headers=headers)
    if coding:
        content = _compressed(store, ref, file, record.sha256, coding)
        headers["Content-Encoding"] = coding
    else:
        content = store.file(ref, file)
    return Response(content, media_type=_MEDIA_TYPES[file], headers=headers)


@functools.lru_cache(maxsize=_KEPT)
def _compressed(store: Store, ref: ModelRef, file: str, _sha256: str, coding: str) -> bytes:
    """Return a file of a version as a gzip or zlib stream, which takes 60 ms for four megabytes."""
    return content_coding.compress(store.file(ref, file), coding)
