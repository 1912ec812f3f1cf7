"""Count the files and bytes that the page loads before it shows its first images.

They are counted over a slow connection. Over a fast one everything may have arrived before the browser
paints its first frame, and would be counted as needed for it.
"""

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Request

from benchmarks.page_loading import MOST_BYTES, SLOW_3G, load
from tests.page.local_decoder import until_ready
from tests.page.test_busy import held
from tests.page.visitor import Visitor

counts_bytes = pytest.mark.needs_chromium("only Chromium's driver counts the bytes on the wire")

MOST_REQUESTS = 8
"""Requests before the first images that the page may need."""


@counts_bytes
@pytest.mark.parametrize("state", ["", "#generate"])
def test_the_first_images_need_at_most_60_kb(browser: Browser, address: str, state: str) -> None:
    loading = load(browser, f"{address}/{state}", SLOW_3G)
    assert 0 < loading.wire_bytes <= MOST_BYTES


@counts_bytes
def test_the_first_images_need_few_requests(browser: Browser, address: str) -> None:
    loading = load(browser, f"{address}/#generate", SLOW_3G)
    if not any("/bundle/" in asked for asked in loading.addresses):
        pytest.skip("the bundle is not that of the modules: make page")
    assert len(loading.addresses) <= MOST_REQUESTS


@counts_bytes
def test_a_part_that_is_not_shown_is_not_loaded_before_the_first_images(
    browser: Browser, address: str
) -> None:
    loading = load(browser, f"{address}/", SLOW_3G)
    late = re.compile(r"/(bundle|js/parts)/(compare|draw|history|map|model|traverse)")
    assert [asked for asked in loading.addresses if late.search(asked)] == []


def test_all_parts_are_there_once_the_page_is_idle_even_if_the_service_goes(
    visitor: Visitor,
) -> None:
    visitor.open("#generate?n=4&seed=1")
    visitor.page.wait_for_function(
        """() => ["draw", "interpolate", "traverse", "map", "learn", "compare", "history", "model", "scenes"].every(part => performance.getEntriesByType("resource")
            .some(({name, responseEnd}) => new RegExp(`/(bundle|parts)/${part}`).test(name) && responseEnd))"""
    )
    visitor.page.route(re.compile("/static/(bundle|js)/"), lambda route: route.abort())
    visitor.part("Model")
    assert "mnist@11" in visitor.shown.inner_text()


@pytest.mark.parametrize(
    ("state", "pattern"),
    [
        ("#generate?model=mnist@11&n=4", re.compile(r"/generate\?.*format=json")),
        ("#home?model=mnist@11", "**/reconstruct?**"),
        ("#home?model=lab@4", "**/reconstruct?**"),
        ("#traverse?model=mnist@11&steps=3", "**/decode?**"),
    ],
)
def test_the_weights_are_fetched_after_the_first_pictures(
    visitor: Visitor, state: str, pattern: str | re.Pattern[str]
) -> None:
    weights: list[str] = []

    def add(request: Request) -> None:
        if "/files/" in request.url:
            weights.append(request.url)

    visitor.page.on("request", add)
    with held(visitor, pattern) as routes:
        visitor.page.goto(f"{visitor.address}/{state}")
        visitor.until(lambda: len(routes) > 0)
        visitor.page.wait_for_timeout(500)  # longer than the page waits for its decoder
        assert weights == []
    visitor.settled()
    visitor.until(lambda: any("exact.safetensors" in address for address in weights))


def test_weights_that_the_browser_keeps_are_used_for_the_first_pictures(visitor: Visitor) -> None:
    visitor.open("#traverse?model=lab@4&steps=3")
    until_ready(visitor, "lab@4")
    asked: list[str] = []
    visitor.page.on("request", lambda r: asked.append(urlsplit(r.url).path))
    visitor.open("#traverse?model=lab@4&steps=3")
    until_ready(visitor, "lab@4")
    assert [path for path in asked if "/files/exact" in path] == []
