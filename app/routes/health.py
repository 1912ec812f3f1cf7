"""/healthz and /readyz: whether the process lives, and whether it can answer."""

from fastapi import APIRouter

from app.dependencies import ServicesDep
from app.openapi import problems
from app.schemas import Health

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
        device=str(model.device),
        degraded=list(refusals) if refusals else None,
    )
