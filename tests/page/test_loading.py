"""Count the files and bytes that the page loads before it shows its first images."""

import re

from playwright.sync_api import Browser

from benchmarks.page_loading import MOST_BYTES, load
from tests.page.visitor import Visitor


def test_the_first_images_need_at_most_60_kb(browser: Browser, address: str) -> None:
    loading = load(browser, f"{address}/")
    assert 0 < loading.wire_bytes <= MOST_BYTES


def test_a_part_that_is_not_shown_is_not_loaded_before_the_first_images(
    browser: Browser, address: str
) -> None:
    loading = load(browser, f"{address}/")
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
    assert "mnist@8" in visitor.shown.inner_text()
