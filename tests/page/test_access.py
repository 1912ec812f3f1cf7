"""Accessibility: axe finds no violations, the keyboard is enough, reduced motion is respected."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

from tests.page.visitor import Visitor

AXE = Axe()


@pytest.mark.parametrize(
    "theme",
    [
        pytest.param("light", marks=pytest.mark.screen(theme="light")),
        pytest.param("dark", marks=pytest.mark.screen(theme="dark", width=375)),
    ],
)
def test_axe_finds_no_serious_violation_in_any_part(visitor: Visitor, theme: str) -> None:
    visitor.open()
    for part in visitor.parts:
        visitor.part(part)
        if part == "Draw":
            visitor.draw((0.5, 0.15), (0.48, 0.85))
        assert _serious(visitor) == [], f"{part}, {theme}"
    visitor.open("#map?plane=seeds")
    visitor.shown.get_by_role("button", name="latent space").click()
    assert _serious(visitor) == []


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


@pytest.mark.screen(motion="reduce")
def test_nothing_is_animated_with_reduced_motion(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    visitor.click("Copy link")
    assert visitor.page.evaluate("document.getAnimations().length") == 0
