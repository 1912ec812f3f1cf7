"""The page and the API docs, from files of the package."""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from app.api.page_bundle import front_page
from app.api.precompressed import Files

FILES = Path(__file__).resolve().parents[2] / "web"

router = APIRouter(include_in_schema=False)

files = Files(directory=FILES)


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page."""
    return await files.get_response(await run_in_threadpool(front_page, FILES), request.scope)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the API docs: Swagger UI for /openapi.json."""
    return await files.get_response("docs.html", request.scope)
