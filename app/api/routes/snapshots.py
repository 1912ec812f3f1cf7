"""/models/{name}/{version}/snapshots: what a version drew while it learnt."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.caching import cache_headers, client_has
from app.api.dependencies import ServicesDep
from app.api.openapi import problems
from app.api.routes.models import Name, Version
from model_store.snapshots import Snapshots
from model_store.spec import ModelRef
from model_store.store import SNAPSHOTS

router = APIRouter(tags=["models"])


@router.get(
    "/models/{name}/{version}/snapshots",
    summary="Show the snapshots of a training",
    operation_id="show_snapshots",
    response_class=Response,
    responses={
        200: {"description": "The snapshots.", "model": Snapshots},
        304: {"description": "The client has the snapshots, as If-None-Match says."},
        **problems(404, 422, 503),
    },
)
def show_snapshots(
    services: ServicesDep, request: Request, name: Name, version: Version
) -> Response:
    """Return about twenty snapshots of a training, from the untrained network to the published one.

    Each has samples of the same latents, reconstructions of the same test images, the places of test
    images in the latent space, and the two parts of the loss. Versions that were published before
    snapshots were kept have none. Those of a version never change.
    """
    store = services.store
    ref = store.resolve(ModelRef.parse(f"{name}@{version}"))
    file = store.manifest(ref).files.get(SNAPSHOTS)
    headers: dict[str, str] = {}
    if file is not None:
        tag = f'"{file.sha256[:32]}"'
        headers = cache_headers(tag, immutable=version.isdecimal())
        if client_has(request, tag):
            return Response(status_code=304, headers=headers)
    return Response(store.snapshots(ref), media_type="application/json", headers=headers)
