"""Refuse calls without a valid API key, and calls that exceed the rate limit."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.access import Access
from app.access.api_keys import Scope as KeyScope
from app.api.middleware.headers import header
from app.api.paths import path_in_app
from app.api.problems import respond
from app.errors import ServiceError

_OPEN = {
    "/",
    "/docs",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
    "/models",
    "/v1/models",
    "/v2",
}
_OPEN_BELOW = ("/static/", "/models/", "/v1/models/", "/v2/")
_TOOLS = "/mcp"
_READ = {"GET", "HEAD", "OPTIONS"}
_FROM_SEEDS = {
    "/generate",
    "/decode",
    "/decompress",
    "/interpolate",
    "/traverse",
    "/edit",
    "/v1/images/generations",
    "/v1/images/image.png",
}
_FROM_SEEDS_OR_IMAGES = {"/interpolate", "/traverse", "/edit"}


class AccessMiddleware:
    """Check key and rate of each call that computes something.

    The path decides which scopes a call needs. A path that is not known to be open needs a key.
    """

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        scopes = required_scopes(scope) if scope["type"] == "http" else set()
        if scopes:
            client = scope.get("client")
            try:
                await self._access.admit(bearer(scope), client[0] if client else None, scopes)
            except ServiceError as error:
                await respond(Request(scope), error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def required_scopes(scope: Scope) -> set[KeyScope]:
    """Return the scopes that a key needs for this request; none if it needs no key.

    Setting an alias is checked by its route, since the admin token is valid for it too.
    """
    path, method = path_in_app(scope), scope["method"]
    if path in _OPEN or path.startswith(_OPEN_BELOW):
        is_inference = method not in _READ and path.startswith("/v2/")
        return {"generate", "upload"} if is_inference else set()
    if path == _TOOLS:
        return {"generate", "upload"}
    if path not in _FROM_SEEDS:
        return {"upload"}
    if path in _FROM_SEEDS_OR_IMAGES and _has_body(scope):
        return {"generate", "upload"}
    return {"generate"}


def bearer(scope: Scope) -> str | None:
    """Return the token in the Authorization header, or None; RFC 6750, section 2.1."""
    scheme, _, token = header(scope, b"authorization").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _has_body(scope: Scope) -> bool:
    length = header(scope, b"content-length")
    return length.strip("0") != "" or header(scope, b"transfer-encoding") != ""
