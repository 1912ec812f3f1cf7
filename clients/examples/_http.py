"""Functions of the example scripts: send a request to the service, read image files.

The examples show the HTTP API without the package zserve_client.
"""

import sys
from pathlib import Path
from typing import Any

import httpx

URL = "http://localhost:8000"


def call(method: str, url: str, **request: Any) -> httpx.Response:
    """Send a request and return the response; on an error, exit with one line on stderr."""
    try:
        response = httpx.request(method, url, timeout=60, **request)
    except httpx.TransportError as error:
        sys.exit(f"no answer from {url} ({error}); is the server running? `make serve` starts it")
    if response.is_error:
        is_problem = response.headers.get("content-type") == "application/problem+json"
        problem = (
            response.json() if is_problem else {"detail": response.text or response.reason_phrase}
        )
        sys.exit("; ".join(str(problem[key]) for key in ("detail", "remedy") if problem.get(key)))
    return response


def read(path: Path) -> tuple[str, bytes]:
    """Return the name and content of a file to upload; on an error, exit with one line."""
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        sys.exit(f"cannot read {path}: {error.strerror}")


def set_options(options: Any, *names: str) -> dict[str, Any]:
    """Return the options that are set, as parameters of a request."""
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}
