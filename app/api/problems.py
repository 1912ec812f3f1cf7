"""Errors as answers: application/problem+json, RFC 9457."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Mount
from starlette.types import Scope

from app.errors import (
    INTERNAL,
    PROBLEMS,
    VALIDATION,
    LimitError,
    ProblemType,
    ServiceError,
    problem_type,
    remedy,
)
from model_store.errors import ImageError, StoreError

MEDIA_TYPE = "application/problem+json"

_LIMITS = ("ge", "gt", "le", "lt", "max_length", "min_length")


class Problem(BaseModel):
    """What went wrong, in one sentence, and what to do about it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/limit-exceeded",
                    "title": "A parameter is beyond its limit",
                    "status": 422,
                    "detail": "n is 1000, at most 256 are allowed",
                    "instance": "/generate",
                    "request_id": "5f2b0c6a9d3e4f17",
                    "limit": 256,
                    "remedy": "ask for 256 or fewer at a time",
                }
            ]
        }
    )

    type: str = Field(description="Stable identifier of the kind of problem.")
    title: str = Field(description="The kind of problem, for people.")
    status: int = Field(description="The HTTP status of this answer.")
    detail: str = Field(description="What was wrong this time.")
    instance: str = Field(description="The path that was called.")
    request_id: str = Field(description="The same as in X-Request-ID and in the log.")
    limit: float | int | None = Field(default=None, description="The bound that was passed.")
    remedy: str | None = Field(default=None, description="What to do about it.")


def install(app: FastAPI) -> None:
    """Let the app answer its errors with problems."""
    app.add_exception_handler(ServiceError, _on_error)
    app.add_exception_handler(StoreError, _on_error)
    app.add_exception_handler(ImageError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


def respond(request: Request, error: Exception) -> Response:
    """The answer to a domain error; of an unforeseen one it says nothing."""
    kind = problem_type(error)
    if kind is INTERNAL:
        detail = "an unexpected error; it has been logged under this request id"
        return _answer(request, INTERNAL, detail)
    limit = error.limit if isinstance(error, ServiceError) else None
    return _answer(request, kind, str(error), limit=limit, remedy=remedy(error))


async def _on_error(request: Request, error: Exception) -> Response:
    return respond(request, error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Errors of the router and of the framework: unknown paths, other methods."""
    error = cast(HTTPException, error)
    if isinstance(error.__cause__, ServiceError):
        return respond(request, error.__cause__)
    path, method = request.url.path, getattr(request.state, "method", request.method)
    match error.status_code:
        case 404:
            kind = ProblemType("not-found", 404, "There is nothing here")
            detail, what_to_do = f"no {path} here", "see /docs for what there is"
        case 405:
            kind = ProblemType("method-not-allowed", 405, "Another method is needed")
            allowed = ", ".join(_allowed_methods(request))
            detail, what_to_do = f"{path} does not take {method}", f"use {allowed}"
            return _answer(request, kind, detail, remedy=what_to_do, headers={"Allow": allowed})
        case status:
            kind = ProblemType("bad-request", status, "The request cannot be served")
            detail, what_to_do = str(error.detail), "see /docs for what is expected"
    return _answer(request, kind, detail, remedy=what_to_do, headers=error.headers)


def _allowed_methods(request: Request) -> list[str]:
    """Of all routes of this path, HEAD wherever there is GET."""
    outside = request.scope.get("app_root_path", "")  # a mount has put its own path into root_path
    scope: Scope = {**request.scope, "root_path": outside}
    methods = set()
    for method in ("GET", "POST", "PUT", "DELETE"):
        found = [
            r for r in request.app.routes if r.matches({**scope, "method": method})[0] is Match.FULL
        ]
        if any(method == "GET" or not isinstance(route, Mount) for route in found):
            methods |= {method, "HEAD"} if method == "GET" else {method}
    return sorted(methods)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    """The first of the parameters that could not be read."""
    error = cast(RequestValidationError, error)
    first: Mapping[str, Any] = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or "the body"
    context: Mapping[str, Any] = first.get("ctx") or {}
    limit = next((context[bound] for bound in _LIMITS if bound in context), None)
    kind = VALIDATION if limit is None else PROBLEMS[LimitError]
    if first["type"] == "extra_forbidden":
        known = _query_parameters(request)
        return _answer(
            request, kind, f"unknown parameter {name[:80]!r}", remedy=_nearest(name, known)
        )
    detail = f"{name}: {first['msg']}"
    if isinstance(first.get("input"), str | int | float):
        detail += f", got {str(first['input'])[:80]!r}"
    return _answer(request, kind, detail, limit=limit, remedy=_how_to_send(name, first, context))


def _how_to_send(name: str, error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    if "expected" in context:
        return f"send {name} as one of {context['expected']}"
    for bounds, words in ((("ge", "gt"), "at least"), (("le", "lt"), "at most")):
        for bound in bounds:
            if bound in context:
                strictly = "" if bound in {"ge", "le"} else ", and not that itself"
                return f"send {name} of {words} {context[bound]}{strictly}"
    if kind.startswith("int"):
        return f"send {name} as a whole number"
    if kind.startswith(("float", "finite")):
        return f"send {name} as a finite number"
    if kind.startswith("bool"):
        return f"send {name} as true or false"
    return f"see /docs for what {name} can be"


def _query_parameters(request: Request) -> Sequence[str]:
    """The names that this endpoint takes, as its API description lists them."""
    operation = request.app.openapi()["paths"].get(request.url.path, {})
    described = operation.get(request.method.lower(), {}).get("parameters", [])
    return [parameter["name"] for parameter in described]


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"this endpoint takes {', '.join(known)}"


def _answer(
    request: Request,
    kind: ProblemType,
    detail: str,
    *,
    limit: float | None = None,
    remedy: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    request.state.problem = kind.slug
    problem = Problem(
        type=kind.uri,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        request_id=str(request.state.request_id),
        limit=limit,
        remedy=remedy,
    )
    extra = dict(headers or {})
    if kind.status == 503:
        extra["Retry-After"] = str(request.app.state.settings.retry_after_s)
    if kind.status == 401:
        extra["WWW-Authenticate"] = "Bearer"
    body = problem.model_dump_json(exclude_none=True)
    return Response(body, kind.status, extra, media_type=MEDIA_TYPE)
