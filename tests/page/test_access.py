"""For everyone: what axe finds, the keyboard alone, and less motion."""

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
def test_axe_finds_nothing_serious_in_any_part(visitor: Visitor, theme: str) -> None:
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
    """What axe calls serious or critical, and where."""
    found = AXE.run(visitor.page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def _pixels(pictures: str) -> Callable[[Visitor], object]:
    return lambda visitor: visitor.pixels(pictures)


OPERATED: list[tuple[str, str, str, Callable[[Visitor], object]]] = [
    ("generate", "#others", "Enter", _pixels(".tiles img")),
    ("draw", ".tray button", "Enter", _pixels(".triptych img")),
    ("interpolate", "input[type=range]", "ArrowRight", lambda v: v.state),
    ("traverse", ".strip [role=radio]", "End", _pixels(".side img")),
    ("map", ".board", "ArrowUp", lambda v: v.shown.locator(".map-live").get_attribute("data-at")),
    ("compare", "input[type=range]", "ArrowLeft", _pixels(".compared img")),
    ("history", ".pin", "Enter", lambda v: v.shown.locator(".pin[aria-pressed=true]").count()),
    ("model", "summary", "Enter", lambda v: v.shown.locator("details[open]").count()),
]


@pytest.mark.parametrize(("part", "control", "key", "look"), OPERATED, ids=[o[0] for o in OPERATED])
def test_each_part_is_worked_by_keyboard_alone(
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
    """Press Tab until the focus is there."""
    for _ in range(80):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("what => document.activeElement.matches(what)", selector):
            return
    raise AssertionError(f"Tab does not reach {selector}")


@pytest.mark.screen(motion="reduce")
def test_who_asked_for_less_motion_sees_none(visitor: Visitor) -> None:
    visitor.open("#generate?n=4&seed=1")
    visitor.click("Copy link")
    assert visitor.page.evaluate("document.getAnimations().length") == 0
