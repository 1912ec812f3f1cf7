"""/models/{name}/{version}/files: files of a version that clients compute with or draw."""

import functools
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.api.caching import cache_headers, client_has
from app.api.content_coding import coded_tag, compress
from app.api.dependencies import ModelName, ServicesDep, VersionOrAlias
from app.api.negotiation import accepted_coding
from app.api.openapi import BINARY, problems
from model_store.snapshots import Snapshots
from model_store.spec import ModelRef
from model_store.store import Store

router = APIRouter(tags=["models"])

VersionFile = Literal[
    "exact.safetensors",
    "golden.json",
    "directions.safetensors",
    "encoded_images.safetensors",
    "snapshots.json",
]

_KEPT = 4
"""Compressed files that are kept, of a few megabytes each."""


@router.get(
    "/models/{name}/{version}/files/{file}",
    summary="Load a file of a version",
    operation_id="show_file",
    response_class=Response,
    responses={
        200: {
            "description": "The file, compressed if the client accepts it.",
            "model": Snapshots | dict[str, Any],
            "content": {"application/octet-stream": {"schema": BINARY}},
        },
        304: {"description": "The client has the file, as If-None-Match says."},
        **problems(404, 422, 503),
    },
)
def show_file(
    services: ServicesDep,
    request: Request,
    name: ModelName,
    version: VersionOrAlias,
    file: Annotated[
        VersionFile,
        Path(
            description="The integer weights, the hashes of the results for fixed inputs, the "
            "directions, the latents of test images, or the snapshots of the training."
        ),
    ],
) -> Response:
    """Return a file of a version, other than a figure.

    With `exact.safetensors` and `golden.json` a client computes as the service does, to the bit:
    docs/arithmetic.md specifies both. `directions.safetensors` has the directions of /edit, in the
    order of the manifest: a latent moves by a row of `steps` for each standard deviation; with `in_z`
    it is moved before the flow. `encoded_images.safetensors` has the latents of up to 2,000
    test images and their labels: the latent of an image is its row of `levels` multiplied by
    `scale`, in the space of N(0, I). `snapshots.json` has about twenty snapshots of the training,
    from the untrained network to the published one: samples of the same latents, reconstructions
    of the same test images, the places of test images in the latent space, and the two parts of
    the loss.

    Files of a version never change, and its manifest has their SHA-256; those of an alias change
    when the alias moves.
    """
    store = services.store
    ref = store.resolve(ModelRef.parse(f"{name}@{version}"))
    record = store.file_record(ref, file)
    coding = accepted_coding(request)
    tag = coded_tag(f'"{record.sha256[:32]}"', coding)
    headers = cache_headers(tag, immutable=version.isdecimal()) | {"Vary": "Accept-Encoding"}
    if client_has(request, tag):
        return Response(status_code=304, headers=headers)
    if coding is None:
        content = store.file(ref, file)
    else:
        content = _compressed(store, ref, file, record.sha256, coding)
        headers["Content-Encoding"] = coding
    is_json = file.endswith(".json")
    media_type = "application/json" if is_json else "application/octet-stream"
    return Response(content, media_type=media_type, headers=headers)


@functools.lru_cache(maxsize=_KEPT)
def _compressed(store: Store, ref: ModelRef, file: VersionFile, _sha256: str, coding: str) -> bytes:
    """Return a file of a version as a gzip or zlib stream, which takes 60 ms for four megabytes."""
    return compress(store.file(ref, file), coding)
