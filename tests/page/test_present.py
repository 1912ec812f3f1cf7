"""Scenes: the stage for a projector, and the list that it shows."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Locator, expect

from model_store.store import SHIPPED
from tests.e2e.server import CHECKOUT
from tests.page.visitor import Visitor

SCENES = json.loads((CHECKOUT / "app/web/scenes.json").read_text(encoding="utf-8"))["scenes"]
TWO = [
    ("#generate?model=lab@4&n=4&seed=3", "First"),
    ("#generate?model=lab@4&n=1&seed=9", "Second"),
]
INHERITED = ["constructor", "__proto__", "toString"]


def link(scenes: list[tuple[str, str]], at: int | None = None) -> str:
    """Return the address of these scenes, or of their presentation from a place counted from 1."""
    lines = "\n".join(f"{address[1:]} {caption}" for address, caption in scenes)
    return "#scenes?" + urlencode({"list": lines} | ({} if at is None else {"at": at}))


def caption(visitor: Visitor) -> str:
    return visitor.page.locator(".stage-caption").inner_text()


def on_stage(visitor: Visitor) -> Locator:
    return visitor.page.locator(".presentation:not([hidden])")


def press(visitor: Visitor, *keys: str) -> None:
    for key in keys:
        visitor.page.keyboard.press(key)
        visitor.settled()


def listed(visitor: Visitor) -> list[str]:
    """Return the captions in the list of scenes."""
    return [box.input_value() for box in visitor.shown.locator("textarea").all()]


# --- the scenes that ship ---


def test_six_scenes_ship_with_captions_of_at_most_forty_words() -> None:
    assert len(SCENES) == 6
    assert all(set(scene) == {"address", "caption"} for scene in SCENES)
    assert max(len(scene["caption"].split()) for scene in SCENES) <= 40


def test_what_the_captions_say_about_the_shipped_models_is_true() -> None:
    dead = SCENES[3]
    model = _manifest(_model_of(dead["address"]))
    across, up = (int(re.search(rf"{axis}=(\d+)", dead["address"])[1]) for axis in "xy")  # type: ignore[index]
    nats = model["latents"]["kl_nats"]
    assert nats[up] < 0.01
    assert nats[across] == max(nats)
    assert (
        f"{len(nats)} dimensions and uses {model['metrics']['active_units']['value']:.0f}"
        in dead["caption"]
    )
    assert f"dimension {across} changes the digit" in dead["caption"]
    assert f"dimension {up} changes nothing" in dead["caption"]
    blur = SCENES[4]
    first = _model_of(blur["address"])
    others = re.findall(r"(\w+)@production", blur["address"].partition("other=")[2])
    latents = [_manifest(name)["spec"]["latent"] for name in [first, *others]]
    assert "by {}, {} and {} numbers".format(*latents) in blur["caption"]


def test_each_scene_that_ships_shows_what_its_address_says(visitor: Visitor) -> None:
    visitor.open("#scenes?list=shipped&at=1")
    shown: list[str] = []
    for i, scene in enumerate(SCENES, 1):
        assert caption(visitor) == scene["caption"]
        assert visitor.state.endswith(f"at={i}")
        part = scene["address"].partition("?")[0][1:]
        assert visitor.shown.get_attribute("id") == f"part-{part}"
        assert any(any(value not in (0, 255) for value in picture) for picture in visitor.pixels())
        assert visitor.page.locator("#problem").is_hidden()
        assert _outside(visitor) == [], part
        shown.append(part)
        press(visitor, "ArrowRight")
    assert len(set(shown)) == 5
    assert caption(visitor) == SCENES[-1]["caption"]


def test_the_scene_of_temperature_has_the_seeds_of_the_scene_before(visitor: Visitor) -> None:
    visitor.open("#scenes?list=shipped&at=1")
    seeds = visitor.tiles.evaluate_all("all => all.map(tile => tile.dataset.seed)")
    before = visitor.pixels(".tiles img")
    press(visitor, "ArrowRight")
    assert visitor.tiles.evaluate_all("all => all.map(tile => tile.dataset.seed)") == seeds
    assert visitor.pixels(".tiles img") != before


# --- the stage ---


def height_of(element: Locator) -> float:
    box = element.bounding_box()
    return box["height"] if box else 0.0


def test_p_fills_the_window_with_the_scene_and_escape_returns(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=1&temperature=1")
    before = visitor.state
    press(visitor, "p")
    on_stage(visitor).wait_for()
    assert caption(visitor) == SCENES[0]["caption"]
    for hidden in (
        ".top",
        ".parts",
        "footer",
        "#share",
        "#part-generate .controls",
        "#part-generate .place",
        "h2",
    ):
        assert visitor.page.locator(hidden).first.is_hidden(), hidden
    visitor.until(lambda: height_of(visitor.shown.locator(".tiles")) > 0.8 * 800)
    press(visitor, "Escape")
    assert visitor.state == before
    assert on_stage(visitor).count() == 0
    assert visitor.tiles.count() == 4
    assert visitor.page.evaluate("document.activeElement.id") == "main"


def test_the_button_presents_and_gets_the_focus_back(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=1")
    visitor.page.locator("#present").press("Enter")
    on_stage(visitor).wait_for()
    press(visitor, "Escape")
    expect(visitor.page.locator("#present")).to_be_focused()


@pytest.mark.parametrize(
    ("view", "box"),
    [
        ("#generate?model=lab@4&n=1", "input[type=number]"),
        ("#generate?model=lab@4&n=1", "#model"),
        ("#scenes", "textarea"),
        ("#scenes", "input[type=text]"),
    ],
)
def test_a_p_that_is_typed_stays_in_its_field(visitor: Visitor, view: str, box: str) -> None:
    visitor.open(view)
    field = visitor.page.locator(f"{box}:visible").first
    field.focus()
    visitor.page.keyboard.type("p")
    visitor.settled()
    assert on_stage(visitor).count() == 0
    if box in {"textarea", "input[type=text]"}:
        assert "p" in field.input_value()


def test_a_p_with_control_belongs_to_the_browser(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=1")
    script = """() => document.body.dispatchEvent(new KeyboardEvent("keydown",
        {key: "p", ctrlKey: true, bubbles: true, cancelable: true}))"""
    assert visitor.page.evaluate(script) is True
    assert on_stage(visitor).count() == 0


def test_arrows_page_keys_and_the_back_button_move_through_the_scenes(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=1")
    before = visitor.state
    visitor.open(link(TWO, 1))
    assert caption(visitor) == "First"
    for keys, expected in (
        (["ArrowRight"], "Second"),
        (["ArrowRight"], "Second"),
        (["PageUp"], "First"),
        (["End"], "Second"),
        (["Home"], "First"),
        ([" "], "Second"),
    ):
        press(visitor, *keys)
        assert caption(visitor) == expected, keys
    visitor.page.go_back()
    visitor.settled()
    assert caption(visitor) == "First"
    assert visitor.tiles.count() == 4
    visitor.page.evaluate("address => { location.hash = address }", before)
    visitor.page.wait_for_selector(".presentation", state="hidden")
    visitor.settled()
    assert visitor.state == before


def test_changes_on_the_stage_are_gone_afterwards_and_leave_no_history(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=1&temperature=0.5")
    visitor.page.wait_for_function("() => localStorage.getItem('zserve.history') !== null")
    before = visitor.page.evaluate("localStorage.getItem('zserve.history')")
    visitor.page.evaluate("address => { location.hash = address }", link(TWO, 1))
    on_stage(visitor).wait_for()
    visitor.settled()
    address = visitor.state
    press(visitor, "c")
    slider = visitor.shown.get_by_label("Temperature")
    pixels = visitor.pixels(".tiles img")
    slider.press("ArrowRight")
    visitor.until(lambda: visitor.pixels(".tiles img") != pixels)
    visitor.settled()
    assert caption(visitor) == "First"
    assert visitor.state == address
    press(visitor, "Escape")
    assert visitor.state.startswith("#scenes?")
    visitor.part("Generate")
    assert "seed=1&temperature=0.5" in visitor.state
    now = json.loads(visitor.page.evaluate("localStorage.getItem('zserve.history')"))
    assert [entry["address"] for entry in now] == [entry["address"] for entry in json.loads(before)]


def test_the_stage_can_be_left_and_moved_with_its_buttons(visitor: Visitor) -> None:
    visitor.open(link(TWO, 1))
    bar = visitor.page.get_by_role("group", name="Presentation")
    bar.get_by_role("button", name="Next scene").press("Enter")
    visitor.settled()
    assert caption(visitor) == "Second"
    expect(bar).to_have_css("opacity", "1")
    bar.get_by_role("button", name="Leave").press("Enter")
    visitor.settled()
    assert on_stage(visitor).count() == 0
    assert listed(visitor) == ["First", "Second"]


def test_f_fills_the_screen_and_escape_leaves_both(visitor: Visitor) -> None:
    visitor.open(link(TWO, 1))
    press(visitor, "f")
    visitor.page.wait_for_function("() => document.fullscreenElement !== null")
    press(visitor, "f")
    visitor.page.wait_for_function("() => document.fullscreenElement === null")
    assert caption(visitor) == "First"


def test_the_caption_is_announced_and_axe_finds_nothing_serious(visitor: Visitor) -> None:
    visitor.open(link(TWO, 1))
    assert visitor.page.get_by_role("status").filter(has_text="First").count() == 1
    assert visitor.page.title() == "zserve: scene 1 of 2"
    assert _serious(visitor) == []
    press(visitor, "Escape")
    assert _serious(visitor) == []


@pytest.mark.parametrize(
    "width",
    [pytest.param(w, marks=pytest.mark.screen(width=w)) for w in (390, 768, 2560)],
)
def test_a_scene_fits_the_window_beside_its_caption(visitor: Visitor, width: int) -> None:
    visitor.open(link([(TWO[0][0], "A caption")], 1))
    assert _outside(visitor) == []
    text = visitor.page.locator(".stage-caption").bounding_box()
    tiles = visitor.shown.locator(".tiles").bounding_box()
    assert text
    assert tiles
    assert text["x"] + text["width"] <= tiles["x"] or tiles["y"] + tiles["height"] <= text["y"]
    assert text["x"] + text["width"] <= width


# --- hostile addresses ---


@pytest.mark.parametrize("name", [*INHERITED, "nothing", "scenes"])
def test_a_scene_of_no_part_says_so_and_harms_nothing(visitor: Visitor, name: str) -> None:
    visitor.open(link([(f"#{name}?model=lab@4", "Wrong"), TWO[0]], 1))
    assert "This scene cannot be shown" in caption(visitor)
    assert visitor.page.locator("main > section:visible").count() == 0
    press(visitor, "ArrowRight")
    assert caption(visitor) == "First"
    assert visitor.tiles.count() == 4
    press(visitor, "Escape")
    assert "This page has no such part" in visitor.shown.inner_text()
    assert visitor.page.evaluate("Object.keys(Object.prototype).length") == 0


def test_markup_in_a_caption_is_text(visitor: Visitor) -> None:
    text = "<img src=x onerror=alert(1)><b>bold</b>"
    visitor.open(link([(TWO[0][0], text)], 1))
    assert caption(visitor) == text
    press(visitor, "Escape")
    assert listed(visitor) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1) Wrong",
        "generate",
        "https://example.com/#generate Wrong",
        "\n".join(["generate?n=1 Caption"] * 61),
        f"generate?n=1 {'a' * 401}",
        f"generate?n=1{'0' * 20_001} Caption",
    ],
    ids=["script", "no caption", "host", "too many", "long caption", "long address"],
)
def test_a_list_that_breaks_a_bound_is_not_used(visitor: Visitor, text: str) -> None:
    visitor.open("#scenes?" + urlencode({"list": text}))
    assert listed(visitor) == [scene["caption"] for scene in SCENES]
    links = visitor.shown.locator("li a").evaluate_all(
        "all => all.map(a => a.getAttribute('href'))"
    )
    assert links == [scene["address"] for scene in SCENES]


def test_a_place_behind_the_last_scene_is_the_last_one(visitor: Visitor) -> None:
    visitor.open(link(TWO, 9))
    assert caption(visitor) == "Second"
    words = "There is no scene 9. This is the last one."
    assert visitor.page.locator("#toast").inner_text() == words


@pytest.mark.parametrize("stored", ["null", "{", '{"a": 1}', '[{"address": 1}, null, "x"]'])
def test_stored_scenes_may_be_anything(visitor: Visitor, stored: str) -> None:
    visitor.open()
    visitor.page.evaluate("text => localStorage.setItem('zserve.scenes', text)", stored)
    visitor.open("#scenes")
    expected = [] if stored.startswith("[") else [scene["caption"] for scene in SCENES]
    assert listed(visitor) == expected


# --- the list ---


def test_a_view_is_added_captioned_moved_and_removed(visitor: Visitor) -> None:
    visitor.open("#generate?model=lab@4&n=4&seed=77")
    visitor.click("Add to scenes")
    visitor.part("Scenes")
    assert len(listed(visitor)) == 7
    assert listed(visitor)[-1] == "New images"
    box = visitor.shown.get_by_label("Caption of scene 7")
    visitor.replace(box, "Mine\n of two lines")
    box.blur()
    visitor.click("Move scene 7 up")
    visitor.until(lambda: listed(visitor)[5] == "Mine of two lines")
    expect(visitor.shown.get_by_label("Move scene 6 up")).to_be_focused()
    visitor.click("Remove scene 1")
    visitor.until(lambda: len(listed(visitor)) == 6)
    visitor.click("Undo")
    visitor.until(lambda: len(listed(visitor)) == 7)
    visitor.open("#scenes")
    assert listed(visitor)[5] == "Mine of two lines"
    visitor.click("Present from scene 6")
    assert caption(visitor) == "Mine of two lines"
    assert visitor.tiles.first.get_attribute("data-seed") == "77"


def test_the_copied_link_holds_all_scenes(visitor: Visitor) -> None:
    visitor.open("#scenes")
    visitor.click("Remove scene 2")
    visitor.until(lambda: len(listed(visitor)) == 5)
    expected = listed(visitor)
    copied = visitor.copied("Copy the link")
    visitor.page.evaluate("localStorage.clear()")
    visitor.open("#" + copied.partition("#")[2])
    assert caption(visitor) == expected[0]
    press(visitor, "Escape")
    assert listed(visitor) == expected


def test_scenes_of_a_link_leave_my_own_alone_until_they_are_kept(visitor: Visitor) -> None:
    visitor.open("#scenes")
    visitor.click("Remove scene 1")
    visitor.until(lambda: len(listed(visitor)) == 5)
    mine = listed(visitor)
    visitor.open(link(TWO))
    assert "came with the address" in visitor.shown.inner_text()
    visitor.click("Remove scene 1")
    visitor.until(lambda: listed(visitor) == ["Second"])
    visitor.click("Show my own")
    visitor.until(lambda: listed(visitor) == mine)
    visitor.page.go_back()
    visitor.until(lambda: listed(visitor) == ["Second"])
    visitor.click("Keep as my scenes")
    visitor.open("#scenes")
    assert listed(visitor) == ["Second"]


def test_a_pasted_link_is_added_and_others_are_refused(visitor: Visitor) -> None:
    visitor.open("#scenes")
    visitor.type("Add a link", "https://example.com/#constructor?n=1")
    visitor.page.get_by_role("status").filter(has_text="not a link").wait_for()
    visitor.type("Add a link", f"{visitor.address}/#generate?model=lab@4&n=4&seed=5")
    visitor.until(lambda: len(listed(visitor)) == 7)
    assert visitor.shown.locator("li a").last.get_attribute("href") == (
        "#generate?model=lab@4&n=4&seed=5"
    )


def _model_of(address: str) -> str:
    match = re.search(r"model=([\w-]+)@production", address)
    assert match
    return match[1]


def _manifest(name: str) -> Any:
    [version] = Path(SHIPPED / name).iterdir()
    return json.loads((version / "manifest.json").read_text(encoding="utf-8"))


def _outside(visitor: Visitor) -> list[str]:
    """Return the images of the scene that are not wholly in the window."""
    script = """all => all.filter(image => image.checkVisibility()).map(image => [image, image.getBoundingClientRect()])
        .filter(([, box]) => box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1)
        .map(([image, box]) => `${image.outerHTML.slice(0, 60)} ${JSON.stringify(box)}`)"""
    outside: list[str] = visitor.shown.locator("img, canvas").evaluate_all(script)
    return outside


def _serious(visitor: Visitor) -> list[str]:
    violations = Axe().run(visitor.page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:100]}"
        for one in violations
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]
