"""The page through nginx, with TLS and under /zserve/, in Chromium."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, Response

LOADED = """selector => {
    const pictures = [...document.querySelectorAll(selector)];
    return pictures.length > 0 && pictures.every(image => image.complete && image.naturalWidth > 0);
}"""
DREW = """selector => [...document.querySelectorAll(selector)].some(canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some((value, i) => i % 4 !== 3 && value > 0);
})"""
TIMEOUT_MS = 60_000


class Watch:
    """The addresses that a tab has asked for, and what went wrong."""

    def __init__(self, page: Page, address: str) -> None:
        self.paths: list[str] = []
        self.faults: list[str] = []
        self._address = address
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))

    def _on_request(self, request: Request) -> None:
        if request.url.startswith(("data:", "blob:")):
            return
        if request.url.startswith(f"{self._address}/"):
            self.paths.append(request.url.removeprefix(self._address))
        else:
            self.faults.append(f"a request beside the prefix: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.faults.append(f"{response.status}: {response.url}")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(TIMEOUT_MS)
    yield context.new_page()
    context.close()


@pytest.fixture
def watch(page: Page, address: str) -> Iterator[Watch]:
    watch = Watch(page, address)
    yield watch
    assert watch.faults == []


def test_the_page_shows_images_and_decodes_by_itself(
    page: Page, watch: Watch, address: str
) -> None:
    page.goto(f"{address}/#generate")
    page.wait_for_function(LOADED, arg="#part-generate img, #first")
    page.wait_for_function("() => performance.getEntriesByType('resource').length > 5")
    with page.expect_response(lambda response: response.url.endswith("/files/exact.safetensors")):
        page.locator('nav.parts a[data-part="map"]').click()
    page.wait_for_function(DREW, arg="#part-map canvas")
    assert any("worker" in path for path in watch.paths)


def test_the_figures_of_a_model_are_shown(page: Page, watch: Watch, address: str) -> None:
    page.goto(f"{address}/#model")
    page.locator("#part-model figure img").first.scroll_into_view_if_needed()
    page.wait_for_function(LOADED, arg="#part-model figure:first-of-type img")
    assert any("/figures/" in path for path in watch.paths)


def test_the_link_to_the_page_and_the_one_to_the_api_stay_below_the_prefix(
    page: Page, watch: Watch, address: str
) -> None:
    page.goto(f"{address}/")
    page.locator("footer a").click()
    page.wait_for_url(f"{address}/docs")
    page.locator(".back a").click()
    page.wait_for_url(f"{address}/")


def test_a_call_that_is_tried_in_the_api_docs_reaches_the_service(
    page: Page, watch: Watch, address: str
) -> None:
    page.goto(f"{address}/docs#/health/healthz")
    with page.expect_response(f"{address}/healthz") as response:
        page.get_by_role("button", name="Execute").click()
    assert response.value.json() == {"status": "live"}
