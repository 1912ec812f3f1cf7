"""A real server with the shipped models, and a real Chromium that may speak to nothing else."""

import shutil
from collections.abc import Iterator
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

from model_store.spec import MLP, PRODUCTION, ImageShape, ModelSpec
from model_store.store import SHIPPED, Store
from tests.api.service import publish
from tests.e2e.server import serving
from tests.page.visitor import Visitor

CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 60_000
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"

COLOUR = ModelSpec(
    network=MLP(hidden=(8,)),
    latent=3,
    image=ImageShape(channels=3, height=20, width=24),
    upload="resize",
)
"""Untrained: what the page must not take for granted is 28x28 and grey."""


# Of the package, not of the session: while Playwright runs, no other test can run a loop of its own.
@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    store = shutil.copytree(SHIPPED, folder / "store")
    # the tests name its dimensions; a better version may become the shipped one at any time
    Store(store).set_alias("mnist", PRODUCTION, 2)
    publish(store, "zcolour", spec=COLOUR)
    with serving(store, folder / "server.log") as found:
        yield found


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to drive the page with: make test-page installs one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", ALONE])
        yield started
        started.close()


@pytest.fixture
def visitor(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Someone at the page; mark with `screen(width=..., theme=...)`.

    Afterwards nothing may have been said on the console, missed, or asked of another host.
    """
    mark = request.node.get_closest_marker("screen")
    wishes = mark.kwargs if mark else {}
    context = browser.new_context(
        viewport={"width": wishes.get("width", 1200), "height": 800},
        color_scheme=wishes.get("theme", "light"),
        reduced_motion=wishes.get("motion", "no-preference"),
        permissions=["clipboard-read", "clipboard-write"],
    )
    context.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page = _watched(context, address, complaints)
    yield Visitor(page, address, complaints)
    context.close()
    assert complaints == []


def _watched(context: BrowserContext, address: str, complaints: list[str]) -> Page:
    ours = urlsplit(address).netloc

    def request(asked: Request) -> None:
        found = urlsplit(asked.url)
        if found.scheme.startswith("http") and found.netloc != ours:
            complaints.append(f"foreign: {asked.url}")

    def console(message: ConsoleMessage) -> None:
        complaints.append(f"console {message.type}: {message.text}")

    page = context.new_page()
    page.on("request", request)
    page.on("console", console)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "response",
        lambda r: complaints.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
    )
    return page
