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
    responses=problems(503),
)
async def readyz(services: ServicesDep) -> Health:
    """200 once the default model is loaded and warm; 503 with the reason where it cannot be."""
    model = await services.catalog.default_or_reason()
    return Health(status="ready", model=str(model.ref), device=str(model.device))
