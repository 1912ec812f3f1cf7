"""A real server with the shipped models, and a real browser that can reach no other host.

pytest tests/page --browser firefox
"""

import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    sync_playwright,
)

from model_store.spec import MLP, ImageShape, ModelSpec
from model_store.store import SHIPPED
from tests.api.service import publish, publish_moving
from tests.api.typical_versions import publish_typical
from tests.e2e.server import serving
from tests.page.browsers import PROGRAMS, Browsers
from tests.page.learning import publish_family
from tests.page.mapped import publish_mapped
from tests.page.visitor import Visitor

TIMEOUT_MS = 60_000

COLOUR = ModelSpec(
    network=MLP(hidden=(8,)),
    latent=3,
    image=ImageShape(channels=3, height=20, width=24),
    upload="resize",
)
"""An untrained model, because the page must not assume that images are grey and 28x28."""

WIDE = ModelSpec(
    network=MLP(hidden=(8,)),
    latent=128,
    image=ImageShape(channels=3, height=64, width=64),
    upload="resize",
)
"""An untrained model with many dimensions, which must fit the window too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--browser", choices=list(PROGRAMS), default="chromium")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what the driver of this browser cannot do, with the reason."""
    if _browser_name(config) == "chromium":
        return
    for item in items:
        if mark := item.get_closest_marker("needs_chromium"):
            item.add_marker(pytest.mark.skip(reason=mark.args[0]))


def _browser_name(config: pytest.Config) -> str:
    return str(config.getoption("--browser", default="chromium"))


# Package scope, not session scope: while Playwright runs, no other test can run an event loop.
@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    store = shutil.copytree(SHIPPED, folder / "store")
    publish(store, "zcolour", spec=COLOUR)
    publish(store, "zcolour", spec=COLOUR, seed=1)
    publish(store, "zwide", spec=WIDE)
    publish_moving(store, "zmoving")
    publish_family(store)
    publish_typical(store, "flow", name="ztypical")
    publish_mapped(store, "zmapped")
    with serving(store, folder / "server.log") as address:
        yield address


@pytest.fixture(scope="package")
def browsers(pytestconfig: pytest.Config) -> Iterator[Browsers]:
    with sync_playwright() as playwright:
        running = Browsers(playwright, _browser_name(pytestconfig))
        yield running
        running.close()


@pytest.fixture
def browser(browsers: Browsers) -> Browser:
    return browsers.get()


@pytest.fixture
def visitor(browsers: Browsers, address: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Open a browser tab; the mark `screen(width=..., theme=..., motion=...)` sets up its screen.

    After the test, the tab must have no console messages, errors or requests to other hosts.
    """
    mark = request.node.get_closest_marker("screen")
    screen = mark.kwargs if mark else {}
    theme, motion = screen.get("theme", "light"), screen.get("motion", "no-preference")
    context = browsers.get(theme, motion).new_context(
        viewport={"width": screen.get("width", 1200), "height": 800},
        color_scheme=theme,
        reduced_motion=motion,
        **_permissions(browsers.name),
    )
    context.set_default_timeout(TIMEOUT_MS)
    errors: list[str] = []
    page = _watched(context, address, errors)
    yield Visitor(page, address, errors)
    context.close()
    assert errors == []


def _permissions(browser: str) -> Any:
    """Return options of a context. Firefox has a preference instead, and knows no such permissions."""
    return {"permissions": ["clipboard-read", "clipboard-write"]} if browser == "chromium" else {}


def _watched(context: BrowserContext, address: str, errors: list[str]) -> Page:
    """Open a page that adds its errors to `errors`."""
    host = urlsplit(address).netloc

    def check_host(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme.startswith("http") and url.netloc != host:
            errors.append(f"request to another host: {request.url}")

    def add_console_message(message: ConsoleMessage) -> None:
        errors.append(f"console {message.type}: {message.text[:100]} at {message.location}")

    page = context.new_page()
    page.on("request", check_host)
    page.on("console", add_console_message)
    page.on("pageerror", lambda error: errors.append(f"error: {error}"))
    page.on(
        "response",
        lambda r: errors.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
    )
    return page
