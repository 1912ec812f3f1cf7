"""Read the path of a request as the routes know it."""

from starlette.types import Scope

V2 = "/v2"
"""Root of the paths of the Open Inference Protocol."""


OPENAI = "/v1"
"""Root of the paths that OpenAI's clients ask for."""


def root_path(scope: Scope) -> str:
    """Return the prefix under which a proxy publishes the app, or under which it is mounted; or "".

    `scope["root_path"]` is longer below `/static`, so RequestContextMiddleware notes it before.
    """
    return str(scope.get("state", {}).get("root_path", ""))


def path_in_app(scope: Scope) -> str:
    """Return the path without the prefix under which the app is mounted or a proxy publishes it."""
    path, root = str(scope["path"]), root_path(scope)
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def is_v2(scope: Scope) -> bool:
    """Return True if a path belongs to the Open Inference Protocol, whether it exists or not."""
    path = path_in_app(scope)
    return path == V2 or path.startswith(f"{V2}/")


def is_openai(scope: Scope) -> bool:
    """Return True if a path belongs to OpenAI's API, whether it exists or not."""
    return path_in_app(scope).startswith(f"{OPENAI}/")
