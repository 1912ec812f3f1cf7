"""/healthz, /readyz and /metrics: whether the process lives and can answer, and what it did."""

from fastapi import APIRouter
from starlette.responses import Response

from app.api.dependencies import ServicesDep
from app.api.openapi import problems
from app.api.schemas import Health
from app.observability.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    summary="Whether the process lives",
    operation_id="healthz",
    response_model_exclude_none=True,
)
async def healthz() -> Health:
    """Always 200 while the process can answer at all."""
    return Health(status="live")


@router.get(
    "/readyz",
    summary="Whether the default model is served",
    operation_id="readyz",
    response_model_exclude_none=True,
    responses=problems(503),
)
async def readyz(services: ServicesDep) -> Health:
    """200 once the default model is loaded and warm; 503 with the reason where it cannot be.

    Where a promoted version was refused and the one before it still answers, `degraded` says why.
    """
    model = await services.catalog.default_or_reason()
    refusals = services.catalog.refusals
    return Health(
        status="ready",
        model=model.name,
        device=model.device,
        degraded=list(refusals) if refusals else None,
    )


@router.get(
    "/metrics",
    summary="What was counted, for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
async def metrics(services: ServicesDep) -> Response:
    """Counts and times of all workers since the service started."""
    text = services.telemetry.exposition(services.engine.waiting_images)
    return Response(text, headers={"Content-Type": CONTENT_TYPE})
