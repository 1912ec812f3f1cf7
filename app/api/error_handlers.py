"""Answer exceptions of routes, of the framework and of query validation with problems."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from app.api.paths import path_in_app, root_path
from app.api.problems import PROBLEMS, VALIDATION, ProblemType, problem_response, respond
from app.errors import LimitError, ServiceError
from model_store.errors import CompressedFileError, ImageError, StoreError

_BOUNDS = ("ge", "gt", "le", "lt", "max_length", "min_length")
"""Keys of pydantic's error context that hold a limit."""


def install(app: FastAPI) -> None:
    """Add the handlers to an app."""
    app.add_exception_handler(ServiceError, _on_error)
    app.add_exception_handler(StoreError, _on_error)
    app.add_exception_handler(ImageError, _on_error)
    app.add_exception_handler(CompressedFileError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_error(request: Request, error: Exception) -> Response:
    return respond(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer errors of the router and the framework, such as unknown paths and wrong methods."""
    error = cast(HTTPException, error)
    if isinstance(error.__cause__, ServiceError):
        return respond(request, error.__cause__)
    path, method = request.url.path, getattr(request.state, "method", request.method)
    match error.status_code:
        case 404:
            other = _path_with_other_slash(request)
            if other is not None:
                return RedirectResponse(other)
            kind = ProblemType("not-found", 404, "No such path")
            detail, remedy = f"there is no {path}", "see /docs for all paths"
        case 405:
            kind = ProblemType("method-not-allowed", 405, "Method not allowed")
            allowed = ", ".join(_allowed_methods(request))
            detail, remedy = f"{path} does not accept {method}", f"use {allowed}"
            return problem_response(
                request, kind, detail, remedy=remedy, headers={"Allow": allowed}
            )
        case status:
            kind = ProblemType("bad-request", status, "The request cannot be served")
            detail, remedy = str(error.detail), "see /docs for a description of the request"
    return problem_response(request, kind, detail, remedy=remedy, headers=error.headers)


def _path_with_other_slash(request: Request) -> str | None:
    """Return the path with a slash added or removed at its end, if only that path has a route; else None.

    The address has no host, unlike that of starlette's own redirect: the header Host comes from the
    client or from a cache, and must not decide where a client is sent.
    """
    path: str = request.scope["path"]
    if "endpoint" in request.scope or path == "/":
        return None
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    scope: Scope = {**request.scope, "path": other}
    if all(route.matches(scope)[0] is Match.NONE for route in request.app.routes):
        return None
    query = request.url.query
    return quote("/" + other.lstrip("/")) + (f"?{query}" if query else "")


def _allowed_methods(request: Request) -> list[str]:
    """Return the methods of all routes for this path, with HEAD if there is GET."""
    # A mount adds its own path to root_path.
    scope: Scope = {**request.scope, "root_path": root_path(request.scope)}
    methods = set()
    for method in ("GET", "POST", "PUT", "DELETE"):
        matches = [
            r for r in request.app.routes if r.matches({**scope, "method": method})[0] is Match.FULL
        ]
        if any(method == "GET" or not isinstance(route, Mount) for route in matches):
            methods |= {method, "HEAD"} if method == "GET" else {method}
    return sorted(methods)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    """Answer the first error of a query or body that failed validation."""
    error = cast(RequestValidationError, error)
    first: Mapping[str, Any] = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    context: Mapping[str, Any] = first.get("ctx") or {}
    limit = next((context[bound] for bound in _BOUNDS if bound in context), None)
    kind = VALIDATION if limit is None else PROBLEMS[LimitError]
    if first["type"] == "extra_forbidden":
        remedy = _similar_parameter(name, _query_parameters(request))
        return problem_response(request, kind, f"unknown parameter {name[:80]!r}", remedy=remedy)
    detail = f"{name}: {first['msg']}"
    if isinstance(first.get("input"), str | int | float):
        detail += f", got {str(first['input'])[:80]!r}"
    remedy = _expected_value(name, first, context)
    return problem_response(request, kind, detail, limit=limit, remedy=remedy)


def _expected_value(name: str, error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """Return a remedy that describes the values a parameter accepts."""
    kind = str(error["type"])
    if "expected" in context:
        return f"send {name} as one of {context['expected']}"
    for bound, words in (
        ("ge", "at least"),
        ("gt", "greater than"),
        ("le", "at most"),
        ("lt", "less than"),
    ):
        if bound in context:
            return f"send a value of {name} that is {words} {context[bound]}"
    if kind.startswith("int"):
        return f"send {name} as a whole number"
    if kind.startswith(("float", "finite")):
        return f"send {name} as a finite number"
    if kind.startswith("bool"):
        return f"send {name} as true or false"
    return f"see /docs for the values of {name}"


def _query_parameters(request: Request) -> Sequence[str]:
    """Return the parameter names of this endpoint, from its API description."""
    operation = request.app.openapi()["paths"].get(path_in_app(request.scope), {})
    described = operation.get(request.method.lower(), {}).get("parameters", [])
    return [parameter["name"] for parameter in described]


def _similar_parameter(name: str, parameters: Sequence[str]) -> str:
    """Return a remedy for an unknown parameter."""
    matches = difflib.get_close_matches(name, parameters, n=1)
    if matches:
        return f"did you mean {matches[0]}?"
    return f"this endpoint takes {', '.join(parameters)}"
