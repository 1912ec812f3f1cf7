"""Directions with a meaning: strips of images in Traverse, and sliders in Draw."""

from functools import partial
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Locator

from tests.api.service import digit
from tests.page.visitor import Visitor


def strip(visitor: Visitor, name: str) -> Locator:
    return visitor.shown.get_by_role("group", name=f"Direction {name}", exact=True)


def drawn(tile: Locator) -> list[int]:
    """Return the RGBA values of the canvas in a tile."""
    values: list[int] = tile.locator("canvas").evaluate(
        """canvas => {
            const brush = new OffscreenCanvas(canvas.width, canvas.height)
                .getContext("2d", {willReadFrequently: true});
            brush.drawImage(canvas, 0, 0);
            return [...brush.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    return values


def has_an_image(tile: Locator) -> bool:
    return any(drawn(tile))


def slide(visitor: Visitor, label: str, value: float) -> None:
    with visitor.page.expect_response(lambda r: "/edit" in r.url):
        visitor.shown.get_by_label(label, exact=True).fill(str(value))
    visitor.settled()


def test_a_model_without_directions_offers_none(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zcolour@2&seed=5&rows=directions")
    assert not visitor.shown.get_by_label("Strips", exact=True).is_visible()
    assert visitor.shown.get_by_role("radiogroup").first.is_visible()


def test_the_heading_says_which_strips_are_shown(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zmoving@1&seed=5&steps=3")
    for rows, heading, first in (
        ("dimensions", "What each dimension does", "Each strip changes one dimension of z"),
        ("directions", "What each direction changes", "Each strip moves z along a direction"),
    ):
        visitor.choose("Strips", rows)
        assert visitor.shown.get_by_role("heading").first.inner_text() == heading
        lede = visitor.shown.locator(".lede:visible")
        assert lede.count() == 1
        assert lede.inner_text().startswith(first)


def test_strips_show_what_a_traversal_along_directions_answers(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zmoving@1&seed=5&steps=5&span=2")
    visitor.choose("Strips", "directions")
    assert "rows=directions" in visitor.state
    assert not visitor.shown.get_by_role("radiogroup").first.is_visible()
    path = f"{visitor.address}/traverse?model=zmoving&seed=5&direction=thickness&steps=5&span=2"
    rows = httpx.post(f"{path}&format=json&pixels=true").json()["directions"][0]["images"]
    for i in (0, 2, 4):
        tile = strip(visitor, "thickness").get_by_role("button").nth(i)
        visitor.until(partial(has_an_image, tile))
        assert drawn(tile)[0::4] == [level for row in rows[i] for level in row]


def test_choosing_an_image_moves_z_along_the_direction(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zmoving@1&seed=5&steps=5&span=2&rows=directions")
    before = visitor.pixels(".side img")
    last = strip(visitor, "slant").get_by_role("button").nth(4)
    visitor.until(lambda: any(drawn(last)))
    expected = drawn(last)
    last.click()
    visitor.until(lambda: visitor.pixels(".side img") == [expected])
    visitor.settled()
    assert "z=" in visitor.state
    visitor.click("Undo")
    assert visitor.pixels(".side img") == before


def test_arrow_keys_move_the_focus_along_a_strip(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zmoving@1&seed=5&steps=5&span=2&rows=directions")
    strip(visitor, "slant").get_by_role("button").nth(2).focus()
    visitor.page.keyboard.press("ArrowRight")
    assert visitor.page.evaluate("document.activeElement.ariaLabel") == "slant +1"


def test_classes_are_behind_a_summary(visitor: Visitor) -> None:
    visitor.open("#traverse?model=zmoving@1&seed=5&steps=5&span=0.5&rows=directions")
    assert not strip(visitor, "a, b").is_visible()
    visitor.shown.get_by_text("Towards each class").click()
    tile = strip(visitor, "a, b").get_by_role("button").nth(4)
    visitor.until(lambda: any(drawn(tile)))


def test_sliders_edit_the_reconstruction(visitor: Visitor) -> None:
    visitor.open("#draw?model=zmoving@1")
    assert not visitor.shown.get_by_role("region", name="Edit").is_visible()
    visitor.drop(digit(5))
    visitor.shown.get_by_role("region", name="Edit").wait_for()
    visitor.settled()
    unmoved = visitor.pixels(".edit img")
    assert unmoved == visitor.pixels(".triptych img")[1:2]
    slide(visitor, "slant", 2)
    visitor.until(lambda: visitor.pixels(".edit img") != unmoved)
    with visitor.page.expect_response(lambda r: "/edit" in r.url) as answer:
        visitor.shown.get_by_label("towards class", exact=True).fill("-1")
    assert parse_qs(urlsplit(answer.value.url).query)["direction"] == ["slant,class:a, b"]
    assert parse_qs(urlsplit(answer.value.url).query)["by"] == ["2,-1"]
    (image,) = answer.value.json()["images"]
    shown = visitor.shown.locator(".edit img")
    visitor.until(lambda: (shown.get_attribute("src") or "").endswith(image["png"]))
    visitor.click("Reset")
    visitor.until(lambda: visitor.pixels(".edit img") == unmoved)


@pytest.mark.screen(width=390)
def test_sliders_fit_on_a_phone(visitor: Visitor) -> None:
    visitor.open("#draw?model=zmoving@1")
    visitor.drop(digit(5))
    visitor.shown.get_by_role("region", name="Edit").wait_for()
    assert visitor.is_as_wide_as_the_window()


def test_a_saved_edit_opens_the_strips_around_its_start(visitor: Visitor) -> None:
    visitor.open("#generate?model=zmoving@1")
    query = "model=zmoving&seed=9&direction=slant&by=2"
    visitor.drop(httpx.post(f"{visitor.address}/edit?{query}").content)
    visitor.until(lambda: visitor.state.startswith("#traverse"))
    assert "seed=9" in visitor.state
    assert "rows=directions" in visitor.state
