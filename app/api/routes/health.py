"""/healthz, /readyz and /metrics: liveness, readiness, and metrics for Prometheus."""

from fastapi import APIRouter
from starlette.responses import Response

from app.api.dependencies import ServicesDep, refuse_if_stopping
from app.api.openapi import problems
from app.api.responses_schema import Health
from app.observability.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])


@router.get(
    "/healthz",
    summary="Check that the process is alive",
    operation_id="healthz",
    response_model_exclude_none=True,
)
async def healthz() -> Health:
    """Return 200 as long as the process can answer."""
    return Health(status="live")


@router.get(
    "/readyz",
    summary="Check that the default model is ready",
    operation_id="readyz",
    response_model_exclude_none=True,
    responses=problems(503),
)
async def readyz(services: ServicesDep) -> Health:
    """Return 200 once the default model is loaded and warmed up, 503 if it cannot be loaded.

    503 is also the answer of a service that is being stopped.

    `degraded` has one line for each promoted version that was refused, whose previous version still
    answers, for each exact version whose results on this machine differ from those that were
    published, and for an object store that does not answer, whose copies are served.
    """
    refuse_if_stopping(services)
    model = await services.model_cache.default_or_reason()
    degraded = services.model_cache.degraded
    return Health(
        status="ready",
        model=model.name,
        device=model.device,
        degraded=list(degraded) if degraded else None,
    )


@router.get(
    "/metrics",
    summary="Show metrics for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Metrics in Prometheus' text format.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
async def metrics(services: ServicesDep) -> Response:
    """Return counters and histograms of all workers since the service started."""
    text = services.telemetry.exposition()
    return Response(text, headers={"Content-Type": CONTENT_TYPE})
