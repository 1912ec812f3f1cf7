"""The page without the network, once it decodes by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Route

from tests.page.visitor import Visitor

WEIGHTS = "**/models/*/*/files/exact.safetensors"
"""Addresses of the weights that the page decodes with."""


def until_ready(visitor: Visitor, ref: str) -> None:
    """Wait until the page knows whether it decodes a version by itself."""
    visitor.page.wait_for_function(
        "mark => performance.getEntriesByName(mark).length > 0", arg=f"decoder of {ref}"
    )


def until_loaded(visitor: Visitor, file: str) -> None:
    """Wait until the page has loaded a file of a version."""
    visitor.page.wait_for_function(
        """file => performance.getEntriesByType("resource")
            .some(({name, responseEnd}) => name.endsWith(file) && responseEnd)""",
        arg=file,
    )


@contextmanager
def without_the_network(visitor: Visitor) -> Iterator[None]:
    """Refuse all requests to the service within the block, in which the page must send none."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        if "/static/" in route.request.url:  # other parts, which the page loads when it is idle
            route.continue_()
            return
        asked.append(route.request.url)
        route.abort()

    visitor.page.route("**/*", refuse)
    try:
        yield
    finally:
        visitor.page.unroute("**/*", refuse)
    assert asked == []
