"""/models: list models and versions, show figures, and promote versions."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from app.access.access import Access
from app.api.caching import cache_headers, client_has
from app.api.dependencies import ModelName, Services, ServicesDep, VersionOrAlias
from app.api.openapi import BINARY, problems
from app.api.paths import root_path
from app.api.precompressed import CompressedRoute
from app.api.queries import Promotion
from app.api.responses_schema import (
    Aliases,
    ModelList,
    ModelSummary,
    ModelVersion,
    ModelVersions,
    Unreadable,
)
from model_store.errors import CorruptVersionError, StoreError
from model_store.sample_quality import best_samples, sample_quality
from model_store.spec import ModelRef
from model_store.store import SNAPSHOTS

router = APIRouter(tags=["models"], route_class=CompressedRoute)

_NOT_MODIFIED: dict[int | str, dict[str, str]] = {
    304: {"description": "The client has the answer, as If-None-Match says."}
}

_bearer = HTTPBearer(
    auto_error=False,
    description="Value of ZSERVE_ADMIN_TOKEN, or an API key with the scope promote.",
)


async def require_token(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Raise UnauthorizedError if the token is wrong, PromotionDisabledError if none is configured."""
    access: Access = request.app.state.access
    token = credentials.credentials if credentials else None
    await access.admit_promotion(token, request.client.host if request.client else None)


@router.get(
    "/models",
    summary="List the models",
    operation_id="list_models",
    responses=_NOT_MODIFIED | problems(422),
)
def list_models(
    services: ServicesDep,
    metrics: Annotated[
        bool, Query(description="false leaves out the metrics, which are most of the bytes.")
    ] = True,
) -> ModelList:
    """Return every model of the store, with the version that its bare name stands for."""
    answer = ModelList(models=[])
    for name in services.store.names():
        try:
            answer.models.append(_summary(name, services))
        except StoreError as error:
            answer.unreadable.append(Unreadable(name=name, detail=str(error)))
    best = best_samples({model.name: model.sample_quality for model in answer.models})
    for model in answer.models:
        model.best_samples = model.name in best
        if not metrics:
            model.metrics = {}
    return answer


@router.get(
    "/models/{name}",
    summary="List the versions of a model",
    operation_id="list_versions",
    responses=_NOT_MODIFIED | problems(404, 422, 503),
)
def list_versions(services: ServicesDep, name: ModelName) -> ModelVersions:
    """Return the manifests of all versions of a model, and its aliases."""
    ref = ModelRef.parse(name)
    store = services.store
    answer = ModelVersions(name=ref.name, aliases=store.aliases(ref.name), versions=[])
    for version in store.versions(ref.name):
        each = ModelRef(name=ref.name, version=version)
        try:
            answer.versions.append(store.manifest(each))
        except CorruptVersionError as error:
            answer.unreadable.append(Unreadable(name=str(each), detail=str(error)))
    return answer


@router.get(
    "/models/{name}/{version}",
    summary="Show a version",
    operation_id="show_version",
    responses=_NOT_MODIFIED | problems(404, 422, 503),
)
def show_version(
    services: ServicesDep, request: Request, name: ModelName, version: VersionOrAlias
) -> ModelVersion:
    """Return manifest, model card and figures of a version.

    The manifest describes the model, how it was trained, and its metrics.
    """
    store = services.store
    ref = store.resolve(ModelRef.parse(f"{name}@{version}"))
    manifest = store.manifest(ref)
    aliases = store.aliases(ref.name)
    address = f"{root_path(request.scope)}/models/{ref.name}/{ref.version}"
    return ModelVersion(
        aliases=sorted(alias for alias, target in aliases.items() if target == ref.version),
        figures={figure: f"{address}/figures/{figure}.png" for figure in manifest.figures},
        card=store.card(ref),
        sample_quality=sample_quality(manifest),
        snapshots=(f"{address}/files/{SNAPSHOTS}" if SNAPSHOTS in manifest.files else None),
        manifest=manifest,
    )


@router.get(
    "/models/{name}/{version}/figures/{figure}.png",
    summary="Show a figure of a version",
    operation_id="show_figure",
    response_class=Response,
    responses={
        200: {"description": "The figure.", "content": {"image/png": {"schema": BINARY}}},
        304: {"description": "The client has the figure, as If-None-Match says."},
        **problems(404, 422, 503),
    },
)
def show_figure(
    services: ServicesDep,
    request: Request,
    name: ModelName,
    version: VersionOrAlias,
    figure: Annotated[str, Path(description="Name of the figure.", examples=["samples"])],
) -> Response:
    """Return a figure that was made when the version was published.

    The figure of a version never changes; that of an alias changes when the alias moves.
    """
    ref = services.store.resolve(ModelRef.parse(f"{name}@{version}"))
    file = services.store.manifest(ref).files.get(f"{figure}.png")
    headers: dict[str, str] = {}
    if file is not None:
        tag = f'"{file.sha256[:32]}"'
        headers = cache_headers(tag, immutable=version.isdecimal())
        if client_has(request, tag):
            return Response(status_code=304, headers=headers)
    content = services.store.figure(ref, figure)
    return Response(content, media_type="image/png", headers=headers)


@router.put(
    "/models/{name}/aliases/{alias}",
    summary="Promote or roll back",
    operation_id="set_alias",
    dependencies=[Depends(require_token)],
    responses=problems(400, 401, 403, 404, 413, 422, 429, 503),
)
async def set_alias(
    services: ServicesDep,
    name: ModelName,
    alias: Annotated[str, Path(description="Alias to set.", examples=["production"])],
    promotion: Promotion,
) -> Aliases:
    """Point an alias at a version. The version is loaded first; if that fails, nothing changes."""
    aliases = await services.model_cache.promote(name, alias, promotion.version)
    return Aliases(name=name, aliases=aliases)


def _summary(name: str, services: Services) -> ModelSummary:
    store = services.store
    ref = store.resolve(ModelRef(name=name))
    manifest = store.manifest(ref)
    return ModelSummary(
        name=name,
        version=manifest.version,
        aliases=store.aliases(name),
        versions=list(store.versions(name)),
        default=name == services.model_cache.default.name,
        image=manifest.spec.image.shape,
        latent=manifest.spec.latent,
        dataset=manifest.training.dataset,
        family=manifest.training.family,
        classes=list(manifest.classes or ()) if manifest.labelled else [],
        directions=list(manifest.direction_names),
        metrics=manifest.metrics,
        sample_quality=sample_quality(manifest),
        weights_sha256=manifest.weights_sha256,
        created_at=manifest.created_at,
    )
