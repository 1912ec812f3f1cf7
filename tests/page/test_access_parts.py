"""Accessibility of Learn, Map and Compare: axe finds nothing serious in their states, on the stage too."""

from collections.abc import Callable

import pytest

from tests.page.test_access import _serious
from tests.page.test_present import link, press
from tests.page.visitor import Visitor

BOTH_THEMES = pytest.mark.parametrize(
    "theme",
    [
        pytest.param("light", marks=pytest.mark.screen(theme="light")),
        pytest.param("dark", marks=pytest.mark.screen(theme="dark", width=390)),
    ],
)


def nothing(_: Visitor) -> None:
    """Leave a state as its address shows it."""


def play(visitor: Visitor) -> None:
    visitor.shown.get_by_role("button", name="Play").click()


def point(visitor: Visitor) -> None:
    """Point at a place of the map whose nearest test image is shown."""
    visitor.until(lambda: visitor.shown.locator(".board").get_attribute("data-points") is not None)
    visitor.shown.locator(".board").hover()
    visitor.shown.locator(".map-near-figure").wait_for()


STATES: dict[str, tuple[str, Callable[[Visitor], None]]] = {
    "Learn, a family": ("#learn?model=zbeta-1@1&at=2", nothing),
    "Learn, playing": ("#learn?model=zbeta-10@1&at=0", play),
    "Learn, no family": ("#learn?model=zalone@1", nothing),
    "Learn, another model": ("#learn?model=lab@4", nothing),
    "Learn, a changed address": ("#learn?model=zbeta-1@1&at=30", nothing),
    "Map, points": ("#map?model=zmapped@1&plane=classes", point),
    "Map, one class": ("#map?model=zmapped@1&plane=pca&only=9&layer=points", point),
    "Map, a flow": ("#map?model=ztypical@1", nothing),
    "Map, a changed address": ("#map?model=zmapped@1&view=0,0,1e9", nothing),
    "Compare, wipe": ("#compare?model=lab@4&n=4&view=wipe", nothing),
    "Compare, differences": ("#compare?model=lab@4&n=4&view=difference", nothing),
    "Compare, a walk": ("#compare?model=lab@4&input=walk&steps=4", nothing),
    "Compare, no image": ("#compare?model=lab@4&input=drawing", nothing),
    "Compare, three": ("#compare?model=lab@4&n=4&other=digits@4,fashion@3", nothing),
}
"""States: how each is reached."""


@BOTH_THEMES
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious(visitor: Visitor, state: str, theme: str) -> None:
    address, act = STATES[state]
    visitor.open(address)
    act(visitor)
    assert _serious(visitor) == [], f"{state}, {theme}"


@BOTH_THEMES
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious_on_the_stage(visitor: Visitor, state: str, theme: str) -> None:
    address, _ = STATES[state]
    visitor.open(link([(address, "What do you see?")], 1))
    assert _serious(visitor) == [], f"{state}, {theme}"
    press(visitor, "c")
    assert visitor.page.locator("body.with-controls").count() == 1
    assert _serious(visitor) == [], f"{state} with controls, {theme}"
