"""Traverse: one strip for each dimension, and moving along the strips."""

import re
from pathlib import Path

from playwright.sync_api import Locator

from tests.page.local_decoder import until_ready
from tests.page.visitor import Visitor, run_in_a_shell

PICTURE = "c => c.toDataURL()"
PIXELS = "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data]"


def strip(visitor: Visitor, dimension: int) -> Locator:
    return visitor.shown.get_by_role("radiogroup", name=re.compile(rf"^Dimension {dimension}\b"))


def test_the_most_informative_dimension_is_first_and_dead_ones_are_hidden(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5")
    names = visitor.shown.get_by_role("radiogroup").evaluate_all(
        "all => all.map(one => one.ariaLabel)"
    )
    nats = [float(name.split(", ")[1].split()[0]) for name in names]
    assert nats == sorted(nats, reverse=True)
    dead = visitor.shown.locator("details.dead-dimensions")
    assert "6 dead dimensions" in dead.inner_text()
    assert not dead.get_by_role("radiogroup").first.is_visible()
    dead.locator("summary").click()
    visitor.until(lambda: any(any(tile[0::4]) for tile in visitor.pixels("details canvas")))


def test_choosing_an_image_sets_z_and_can_be_undone(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5&steps=9")
    before = visitor.pixels(".side img")
    tile = strip(visitor, 10).get_by_role("radio").nth(0)
    drawn = tile.locator("canvas").evaluate(PIXELS)
    tile.click()
    visitor.settled()
    assert visitor.pixels(".side img") == [drawn]
    assert tile.get_attribute("aria-checked") == "true"
    assert "z=" in visitor.state
    visitor.click("Undo")
    assert visitor.pixels(".side img") == before
    assert "seed=5" in visitor.state


def test_arrow_keys_move_along_a_strip_and_between_strips(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5&steps=9")
    first = strip(visitor, 11).get_by_role("radio")
    first.nth(4).click()
    visitor.settled()
    visitor.page.keyboard.press("ArrowRight")
    visitor.settled()
    assert first.nth(5).get_attribute("aria-checked") == "true"
    visitor.page.keyboard.press("End")
    visitor.settled()
    assert first.nth(8).get_attribute("aria-checked") == "true"
    visitor.page.keyboard.press("ArrowDown")
    focused = visitor.page.evaluate("document.activeElement.ariaLabel")
    assert focused.startswith("z10 = ")
    visitor.page.keyboard.press("Control+z")
    visitor.settled()
    assert first.nth(5).get_attribute("aria-checked") == "true"


def test_strips_follow_a_key_that_is_held_down_and_end_at_one_z(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5&steps=9")
    until_ready(visitor, "digits@4")
    strip(visitor, 11).get_by_role("radio").nth(0).click()
    visitor.settled()
    other = strip(visitor, 10).locator("canvas").nth(4)
    before = other.evaluate(PICTURE)
    visitor.page.keyboard.down("ArrowRight")
    for _ in range(4):
        visitor.page.keyboard.down("ArrowRight")  # the key repeats
    visitor.until(lambda: other.evaluate(PICTURE) != before)
    for _ in range(2):
        visitor.page.keyboard.down("ArrowRight")
    visitor.page.keyboard.up("ArrowRight")
    visitor.settled()
    moved = visitor.pixels(".side img, .strip canvas")
    visitor.open(visitor.state)
    assert visitor.pixels(".side img, .strip canvas") == moved


def test_a_reopened_z_shows_the_same_pixels(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5&steps=5")
    strip(visitor, 1).get_by_role("radio").nth(0).click()
    visitor.settled()
    before = visitor.pixels(".side img, .strip canvas")
    visitor.open(visitor.state)
    assert visitor.pixels(".side img, .strip canvas") == before


def test_a_traversal_can_start_from_a_seed_or_from_zero(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5")
    five = visitor.pixels(".side img")
    visitor.click("New seed")
    assert visitor.pixels(".side img") != five
    visitor.click("z = 0")
    middle = strip(visitor, 11).get_by_role("radio").nth(4)
    assert middle.get_attribute("aria-checked") == "true"
    visitor.type("Seed to start from", "5")
    assert visitor.pixels(".side img") == five


def test_a_model_with_another_latent_size_starts_from_the_seed(visitor: Visitor) -> None:
    visitor.open("#traverse?model=digits@4&seed=5")
    strip(visitor, 1).get_by_role("radio").nth(0).click()
    visitor.settled()
    visitor.page.get_by_label("Model", exact=True).select_option("notebook")
    visitor.page.get_by_role("radiogroup").nth(2).wait_for(state="detached")
    visitor.settled()
    assert visitor.shown.get_by_role("radiogroup").count() == 2


def test_a_copied_curl_gives_the_strips_and_the_image_at_z(
    visitor: Visitor, tmp_path: Path
) -> None:
    visitor.open("#traverse?model=digits@4&seed=5&steps=5")
    for file in ("traversal.png", "image.png"):
        saved = visitor.saved("Save PNG").read_bytes()
        command = visitor.copied("Copy as curl")
        run_in_a_shell(command, tmp_path)
        assert (tmp_path / file).read_bytes() == saved
        strip(visitor, 1).get_by_role("radio").nth(0).click()
        visitor.settled()
