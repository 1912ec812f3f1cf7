"""Read request headers from an ASGI scope."""

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str:
    """Return a header by its lower-case name, or an empty string if it is missing.

    starlette's Headers copies and decodes all headers first, which costs more than this loop.
    """
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return ""
