"""The page and the API docs, from files of the package."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse

FILES = Path(__file__).resolve().parents[2] / "web"

router = APIRouter(include_in_schema=False)

_HEADERS = {"Cache-Control": "no-cache"}


@router.get("/")
async def index() -> FileResponse:
    """Return the page."""
    return FileResponse(FILES / "index.html", headers=_HEADERS)


@router.get("/docs")
async def docs() -> FileResponse:
    """Return the API docs: Swagger UI for /openapi.json."""
    return FileResponse(FILES / "docs.html", headers=_HEADERS)
