"""While what is shown is not what was asked for yet, the page says so."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Route, expect

from tests.page.visitor import Visitor

SLOW = [
    ("#generate?n=4&seed=1", "New samples", "#samples", "**/generate?**"),
    # the service decodes float versions
    (
        "#interpolate?model=zcolour@1&a=seed:1&b=seed:2&steps=4",
        "Swap A and B",
        ".stage",
        "**/interpolate?**",
    ),
    ("#traverse?model=zcolour@1&seed=1&steps=3", "New seed", ".slot-face", "**/generate?**"),
]


@contextmanager
def held(visitor: Visitor, pattern: str | re.Pattern[str]) -> Iterator[list[Route]]:
    """Hold requests back until the block ends, and then let them through. Yields those that came."""
    routes: list[Route] = []
    is_over = False

    def keep(route: Route) -> None:
        if is_over:
            route.continue_()
        else:
            routes.append(route)

    visitor.page.route(pattern, keep)
    yield routes
    is_over = True
    for route in routes:
        route.continue_()


@pytest.mark.parametrize(
    ("state", "button", "result", "pattern"), SLOW, ids=["generate", "interpolate", "traverse"]
)
def test_a_part_says_that_it_waits_until_the_answer_is_shown(
    visitor: Visitor, state: str, button: str, result: str, pattern: str
) -> None:
    visitor.open(state)
    waiting = visitor.page.locator("#waiting")
    area = visitor.shown.locator(result).first
    assert waiting.is_hidden()
    with held(visitor, pattern):
        visitor.shown.get_by_role("button", name=button, exact=True).click()
        expect(area).to_have_attribute("aria-busy", "true")
        expect(waiting).to_have_text("Waiting for the service. What you see is from before.")
        expect(area.locator("img").first).to_have_css("opacity", "0.35")
    visitor.settled()
    expect(waiting).to_be_hidden()
    assert area.get_attribute("aria-busy") is None


def test_strips_are_marked_while_they_are_those_of_the_last_seed(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zcolour@1&seed=1&steps=3")  # the service decodes float versions
    strips = visitor.shown.locator(".strips").first.locator("xpath=..")
    with held(visitor, "**/decode?**"):
        visitor.shown.get_by_role("button", name="New seed").click()
        expect(strips).to_have_attribute("aria-busy", "true")
    visitor.settled()
    assert strips.get_attribute("aria-busy") is None


def test_the_map_says_only_how_many_pictures_are_missing(visitor: Visitor) -> None:
    visitor.open("#map?model=zcolour@1")
    missing = visitor.shown.get_by_text("pictures to decode")
    expect(missing).to_be_hidden()
    with held(visitor, "**/decode?**") as routes:
        visitor.shown.get_by_role("button", name="Zoom in").click()
        visitor.until(lambda: bool(routes))
        expect(missing).to_be_visible()
        visitor.page.wait_for_timeout(600)  # the frame would say that it waits after 0.4 s
        assert visitor.page.locator("#waiting").is_hidden()
    expect(missing).to_be_hidden()


WITH_RESULTS = [
    "home",
    "generate",
    "draw",
    "interpolate",
    "traverse",
    "map",
    "learn",
    "compare",
    "model",
]


@pytest.mark.parametrize("part", WITH_RESULTS)
def test_a_new_model_is_waited_for_in_every_part(visitor: Visitor, part: str) -> None:
    visitor.open(f"#{part}?model=lab@4")
    with held(visitor, "**/models/digits/4"):
        visitor.page.get_by_label("Model", exact=True).select_option("digits")
        expect(visitor.page.locator("#waiting")).to_be_visible()
        results = visitor.shown.locator("[data-result]").filter(visible=True)
        assert results.count() > 0
        for result in results.all():
            expect(result).to_have_attribute("aria-busy", "true")
    visitor.settled()
    assert "model=digits@4" in visitor.state
    expect(visitor.page.locator("#waiting")).to_be_hidden()


def test_a_slider_shows_steps_on_its_way_although_answers_are_slower_than_its_steps(
    visitor: Visitor,
) -> None:
    visitor.open("#generate?model=zcolour@1&n=4&seed=1&temperature=0")
    slider = visitor.shown.get_by_role("slider")
    with held(visitor, "**/generate?**") as routes:
        slider.fill("0.5")
        visitor.until(lambda: len(routes) == 1)
        for step in ("0.6", "0.7", "0.8"):
            slider.fill(step)
        before = visitor.pixels(".tiles img")
        routes.pop().continue_()
        visitor.until(lambda: len(routes) == 1)
        assert visitor.pixels(".tiles img") != before
        assert "temperature=0.8" in routes[0].request.url
    visitor.settled()
    assert "temperature=0.8" in visitor.state
