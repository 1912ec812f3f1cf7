"""Set client, scheme and prefix of the path of a request by the headers of trusted proxies."""

from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from app.prefixes import forwarded_prefix


class ProxyMiddleware:
    """Set client, scheme and root_path of each request as a proxy in front of the service has them.

    X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix of the proxies `trusted` are believed.
    Without X-Forwarded-Prefix, the prefix is `root_path`. A proxy may remove the prefix from the path
    or pass it on; both are served.
    """

    def __init__(self, app: ASGIApp, *, trusted: str, root_path: str) -> None:
        self._root_path = root_path
        self._app = ProxyHeadersMiddleware(cast(Any, app), trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            prefix = self._root_path
            client = scope.get("client")  # the proxy, until uvicorn's middleware replaces it
            if (client[0] if client else None) in self._app.trusted_hosts:
                prefix = forwarded_prefix(_all(scope, b"x-forwarded-prefix")) or prefix
            if prefix:
                _publish(scope, prefix)
        await self._app(cast(Any, scope), cast(Any, receive), cast(Any, send))


def _all(scope: Scope, name: bytes) -> str:
    """Return all values of a header, separated by commas."""
    return ",".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _publish(scope: Scope, prefix: str) -> None:
    """Make path and root_path begin with the prefix, as ASGI has them."""
    path = scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        scope["path"] = prefix + path
        scope["raw_path"] = prefix.encode() + scope.get("raw_path", b"")
    scope["root_path"] = prefix + scope.get("root_path", "")
