"""Call endpoints with the signature (request, services, query) without FastAPI's dependency solver.

FastAPI still derives the API description from the signature. For each request it would also solve
dependencies and open exit stacks, which these endpoints do not need and which takes a large part of
the time of a small answer. `QueryRoute` validates the query with the same model as FastAPI would,
and reports the same errors.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.api.dependencies import services_of
from app.api.queries import Query
from app.errors import ParameterError

Endpoint = Callable[..., Awaitable[Response]]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]

_LONGEST_CACHED = 200
"""Bytes of the longest query string that is cached. It bounds the memory of the cache."""
_MAX_PARAMETERS = 100
"""Parameters of the longest query, more than any endpoint has: each unknown one is an error object."""


class QueryRoute(APIRoute):
    """Validate the query with the endpoint's query model, and call the endpoint."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        handle = self.get_route_handler()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # Without starlette's request_response: the exception handlers that it applies are
            # applied once more by a middleware of FastAPI, which is enough.
            response = await handle(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app

    def get_route_handler(self) -> Handler:
        """Return a handler that validates the query and calls the endpoint."""
        endpoint: Endpoint = self.endpoint
        query_type: type[Query] = get_type_hints(endpoint)["query"]

        async def handle(request: Request) -> Response:
            query = read_query(request.scope["query_string"], query_type)
            return await endpoint(request, services_of(request), query)

        return handle


def read_query(text: bytes, query_type: type[Query]) -> Query:
    """Validate a query string; short ones that are equal share one query, which is frozen.

    Raises RequestValidationError, and ParameterError if a parameter is repeated.
    """
    return (_cached if len(text) <= _LONGEST_CACHED else _validate)(text, query_type)


def _validate(text: bytes, query_type: type[Query]) -> Query:
    try:
        items = parse_qsl(
            text.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:
        raise ParameterError(
            f"the query has more than {_MAX_PARAMETERS} parameters",
            limit=_MAX_PARAMETERS,
            remedy="send each parameter once",
        ) from error
    values = dict(items)
    if len(values) < len(items):
        ((name, times),) = Counter(name for name, _ in items).most_common(1)
        name = name[:80]
        raise ParameterError(f"{name} is repeated: {times} values", remedy=f"send {name} once")
    try:
        return query_type.model_validate(values)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        raise RequestValidationError([e | {"loc": ("query", *e["loc"])} for e in errors]) from error


_cached = lru_cache(maxsize=256)(_validate)
