"""The page and the API docs, from files of the package."""

import os
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FILES = Path(__file__).resolve().parents[2] / "web"

router = APIRouter(include_in_schema=False)


class Files(StaticFiles):
    """The files of a folder, whose answers begin only if the file can be opened."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, or 304. Raises OSError, which otherwise comes after the headers."""
        os.close(os.open(full_path, os.O_RDONLY))
        return super().file_response(full_path, stat_result, scope, status_code)


_PAGES = Files(directory=FILES)


@router.get("/")
async def index(request: Request) -> Response:
    """Return the page."""
    return _page(request, "index.html")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the API docs: Swagger UI for /openapi.json."""
    return _page(request, "docs.html")


def _page(request: Request, name: str) -> Response:
    """Return a file, or 304 if the client has it; caches ask each time, as a release changes it."""
    path, status = _PAGES.lookup_path(name)
    if status is None:
        raise FileNotFoundError(FILES / name)
    answer = _PAGES.file_response(path, status, request.scope)
    answer.headers["Cache-Control"] = "no-cache"
    return answer
