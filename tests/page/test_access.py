"""Accessibility: axe finds no violations, the keyboard is enough, reduced motion is respected."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from tests.page.visitor import Visitor

AXE = Axe()


def open_details(visitor: Visitor) -> None:
    visitor.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    visitor.settled()


def wait_for_samples(visitor: Visitor) -> None:
    visitor.page.route("**/generate?**", lambda route: None)
    visitor.page.locator("#others").click()
    visitor.page.locator("#waiting").wait_for()


def fail(visitor: Visitor) -> None:
    visitor.page.route("**/generate?**", lambda route: route.fulfill(status=500, body="{}"))
    visitor.page.locator("#others").click()
    visitor.problem()
    visitor.errors.clear()


STATES: dict[str, tuple[str, Callable[[Visitor], object]]] = {
    "Generate": ("#generate?n=4", lambda _: None),
    "Generate, with a menu": ("#generate?n=4", lambda v: v.tiles.first.click()),
    "Generate, changed address": ("#generate?n=9999&label=banana", lambda _: None),
    "Draw": ("#draw", lambda v: v.draw((0.5, 0.15), (0.48, 0.85))),
    "Interpolate": ("#interpolate?steps=4", lambda _: None),
    "Traverse": ("#traverse?model=digits@4&steps=3", open_details),
    "Traverse, directions": ("#traverse?model=zmoving@1&steps=3&rows=directions", open_details),
    "Map": ("#map?model=lab@4", lambda _: None),
    "Map, with an explanation": (
        "#map?model=lab@4&plane=seeds",
        lambda v: v.shown.get_by_role("button", name="latent space").click(),
    ),
    "Compare": ("#compare?model=lab@4&n=4", lambda _: None),
    "History": ("#history", lambda _: None),
    "Model": ("#model?model=digits@4", open_details),
    "waiting": ("#generate?n=4", wait_for_samples),
    "failed": ("#generate?n=4", fail),
}
"""States of the page: how each is reached."""


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param("light", marks=pytest.mark.screen(theme="light")),
        pytest.param("dark", marks=pytest.mark.screen(theme="dark", width=390)),
    ],
)
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_serious_in_any_state(visitor: Visitor, state: str, theme: str) -> None:
    address, act = STATES[state]
    visitor.open(address)
    act(visitor)
    assert _serious(visitor) == [], f"{state}, {theme}"


def test_axe_finds_nothing_serious_in_parts_that_have_no_state_above(visitor: Visitor) -> None:
    visitor.open("#generate?n=4")
    for part in set(visitor.parts) - {state.split(",")[0] for state in STATES}:
        visitor.part(part)
        assert _serious(visitor) == [], part


def _serious(visitor: Visitor) -> list[str]:
    """Return the violations that axe rates serious or critical, with their elements."""
    violations = AXE.run(visitor.page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in violations
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def _pixels(pictures: str) -> Callable[[Visitor], object]:
    return lambda visitor: visitor.pixels(pictures)


KEYBOARD_ACTIONS: list[tuple[str, str, str, Callable[[Visitor], object]]] = [
    ("generate", "#others", "Enter", _pixels(".tiles img")),
    ("draw", ".tray button", "Enter", _pixels(".triptych img")),
    ("interpolate", "input[type=range]", "ArrowRight", lambda v: v.state),
    ("traverse", ".strip [role=radio]", "End", _pixels(".side img")),
    ("map", ".board", "ArrowUp", lambda v: v.shown.locator(".map-live").get_attribute("data-at")),
    ("compare", "input[type=range]", "ArrowLeft", _pixels(".compared img")),
    ("history", ".pin", "Enter", lambda v: v.shown.locator(".pin[aria-pressed=true]").count()),
    ("model", "summary", "Enter", lambda v: v.shown.locator("details[open]").count()),
]


@pytest.mark.parametrize(
    ("part", "control", "key", "look"), KEYBOARD_ACTIONS, ids=[a[0] for a in KEYBOARD_ACTIONS]
)
def test_each_part_can_be_used_with_the_keyboard_alone(
    visitor: Visitor, part: str, control: str, key: str, look: Callable[[Visitor], object]
) -> None:
    visitor.open("#generate?n=4&seed=1")
    if part == "history":
        visitor.until(lambda: visitor.page.evaluate("'zserve.history' in localStorage"))
    _tab_to(visitor, f"nav [data-part={part}]")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector(f"#part-{part}:not([hidden])")
    visitor.settled()
    if part == "draw":
        visitor.page.wait_for_selector(".tray button")
    _tab_to(visitor, f"#part-{part} {control}")
    before = look(visitor)
    visitor.page.keyboard.press(key)
    visitor.until(lambda: look(visitor) != before)


def _tab_to(visitor: Visitor, selector: str) -> None:
    """Press Tab until an element that matches the selector has the focus."""
    for _ in range(80):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


def focused(visitor: Visitor) -> str:
    """Return the part, the tag and the name of the element with the focus."""
    script = """() => {
        const {activeElement: at} = document;
        const name = at.ariaLabel ?? at.textContent.trim();
        return [at.closest("section")?.dataset.part ?? "", at.localName, name].join(" ");
    }"""
    return str(visitor.page.evaluate(script))


def test_after_a_menu_the_focus_is_in_the_part_that_was_opened(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=20")
    visitor.tiles.nth(1).focus()
    for key in ("Enter", "ArrowDown", "Enter"):
        visitor.page.keyboard.press(key)
    visitor.settled()
    visitor.until(lambda: focused(visitor) == "draw h2 Your image, reconstructed")


def test_after_a_menu_that_replaces_the_images_the_focus_is_on_the_same_image(
    visitor: Visitor,
) -> None:
    visitor.open("#generate?n=4&seed=20")
    visitor.tiles.nth(2).focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.keyboard.press("Enter")
    visitor.settled()
    assert "seed=22" in visitor.state
    visitor.until(lambda: focused(visitor).startswith("generate button Image of seed 22"))


def test_home_and_end_move_within_a_menu(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=20")
    visitor.tiles.first.click()
    entries = visitor.page.get_by_role("menuitem").all_inner_texts()
    for key, entry in (("End", entries[-1]), ("ArrowDown", entries[0]), ("Home", entries[0])):
        visitor.page.keyboard.press(key)
        assert visitor.page.evaluate("document.activeElement.textContent") == entry


def test_arrows_home_and_end_move_among_the_parts(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    names = visitor.parts
    links = visitor.page.get_by_role("navigation").get_by_role("link")
    links.first.focus()
    for key, place in (("End", -1), ("ArrowLeft", -2), ("Home", 0), ("ArrowRight", 1)):
        visitor.page.keyboard.press(key)
        assert visitor.page.evaluate("document.activeElement.textContent") == names[place]
    visitor.page.keyboard.press("Enter")
    visitor.until(lambda: visitor.shown.get_attribute("data-part") == names[1].lower())


STRIPS = [
    ("#interpolate?a=seed:1&b=seed:2&steps=6", ".strip", 6),
    ("#traverse?model=zmoving@1&seed=1&steps=5&rows=directions", ".direction-strips .strip", 5),
]


@pytest.mark.parametrize(("state", "strip", "count"), STRIPS, ids=["interpolate", "directions"])
def test_home_end_arrows_and_enter_work_in_a_strip(
    visitor: Visitor, state: str, strip: str, count: int
) -> None:
    visitor.open(state)
    tiles = visitor.shown.locator(strip).first.locator(".tile")
    reachable = [tile for tile in tiles.all() if tile.get_attribute("tabindex") == "0"]
    assert len(reachable) == 1
    reachable[0].focus()
    for key, place in (
        ("Home", 0),
        ("ArrowRight", 1),
        ("End", count - 1),
        ("ArrowRight", count - 1),
    ):
        visitor.page.keyboard.press(key)
        assert tiles.nth(place).evaluate("tile => tile === document.activeElement")
        assert tiles.nth(place).get_attribute("tabindex") == "0"
    before = visitor.state
    visitor.page.keyboard.press("Enter")
    visitor.until(lambda: visitor.state != before)


def test_new_samples_are_announced(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    visitor.type("Seed", "77")
    announcement = visitor.page.locator("#announcement[role=status]")
    expect(announcement).to_have_text("4 images, seed 77, mnist@11")


@pytest.mark.screen(motion="reduce")
def test_nothing_is_animated_with_reduced_motion(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    visitor.click("Copy link")
    assert visitor.page.evaluate("document.getAnimations().length") == 0
