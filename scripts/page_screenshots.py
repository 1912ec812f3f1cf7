"""Write screenshots of the page, of every state at four widths and in two themes.

    make page-screenshots ARGS="--only generate,busy --widths 390,1440"

Starts the service with the shipped models, and writes build/screenshots/STATE-WIDTH-THEME.png, which
git ignores. Each screenshot shows the whole document. Look at them one by one: a page can pass all
its tests and be ugly. To add a state, add it to STATES.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, Route, sync_playwright

from benchmarks.page_latency import server

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "build" / "screenshots"
WIDTHS = (390, 768, 1440, 2560)
THEMES = ("light", "dark")
HEIGHT = 900
TIMEOUT_MS = 120_000
MESSAGE_MS = 700
"""Time until messages about a slow answer and transitions have come to rest."""


@dataclass(frozen=True)
class State:
    """A state of the page.

    Attributes:
        address: What comes after the address of the service, such as `#generate?n=4`.
        act: Brings the page from the address to the state.
        before: Prepares the page before the address is opened.
        settles: False if the page still waits for the service in this state.
    """

    address: str
    act: Callable[[Page], object] = lambda page: None  # noqa: ARG005
    before: Callable[[Page], object] = lambda page: None  # noqa: ARG005
    settles: bool = True


def _draw(page: Page) -> None:
    box = page.locator(".pad").bounding_box()
    if box is None:
        sys.exit("the page shows no canvas")
    points = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()
    page.locator("#part-draw .triptych img").first.wait_for()


def _open_details(page: Page) -> None:
    page.evaluate("document.querySelectorAll('main details').forEach(one => one.open = true)")


def _open_menu(page: Page) -> None:
    page.locator("#samples .tile").nth(1).click()


def _open_meaning(page: Page) -> None:
    page.locator("section:not([hidden]) .term").first.click()


def _hold(page: Page) -> None:
    """Ask for new samples from a service that does not answer."""
    page.route("**/generate?**", lambda route: None)  # noqa: ARG005
    page.locator("#others").click()
    page.locator("#waiting").wait_for()


def _fail(page: Page) -> None:
    """Ask for new samples from a service that fails."""

    def answer(route: Route) -> None:
        route.fulfill(status=500, body='{"detail": "something broke", "remedy": "see the log"}')

    page.route("**/generate?**", answer)
    page.locator("#others").click()
    page.locator("#problem").wait_for()


def _lose_models(page: Page) -> None:
    page.route("**/models?**", lambda route: route.fulfill(status=500, body="{}"))


def _remember(page: Page) -> None:
    """Leave three results in the history."""
    for seed in (1, 2, 3):
        page.evaluate("address => { location.hash = address; }", f"#generate?n=9&seed={seed}")
        page.wait_for_function(
            "address => JSON.stringify(localStorage).includes(address)", arg=f"seed={seed}"
        )
    page.evaluate("location.hash = '#history'")
    page.locator(".card").nth(2).wait_for()


STATES = {
    "home": State("#home"),
    "home-plain": State("#home?model=mnist-gaussian"),
    "home-prior": State("#home?source=prior"),
    "home-faces": State("#home?model=faces&source=prior"),
    "generate": State("#generate"),
    "generate-256": State("#generate?n=256&seed=1"),
    "generate-faces": State("#generate?model=faces&n=8&seed=1"),
    "menu": State("#generate", _open_menu),
    "meaning": State("#generate", _open_meaning),
    "request": State("#generate?n=4", _open_details),
    "busy": State("#generate", _hold, settles=False),
    "failed": State("#generate", _fail),
    "no-models": State("#generate", before=_lose_models),
    "changed-address": State("#generate?n=9999&label=banana&colour=red"),
    "draw": State("#draw"),
    "draw-7": State("#draw", _draw),
    "interpolate": State("#interpolate"),
    "interpolate-64": State("#interpolate?a=seed:50&b=seed:31&steps=64"),
    "traverse": State("#traverse"),
    "traverse-all": State("#traverse", _open_details),
    "traverse-directions": State("#traverse?model=mnist&seed=33&rows=directions"),
    "traverse-letters": State("#traverse?model=letters&seed=3&rows=directions"),
    "map": State("#map"),
    "map-seeds": State("#map?plane=seeds"),
    "map-classes": State("#map?plane=classes"),
    "map-letters": State("#map?model=letters"),
    "learn": State("#learn"),
    "learn-beta-10": State("#learn?model=mnist-beta-10"),
    "map-notebook": State("#map?model=notebook"),
    "compare": State("#compare"),
    "compare-4": State("#compare?model=mnist&other=lab,mnist-gaussian,notebook&n=16"),
    "compare-wipe": State("#compare?model=mnist&other=lab&n=16&view=wipe"),
    "compare-difference": State("#compare?model=mnist&other=lab,fashion&n=9&view=difference"),
    "compare-drawing": State("#compare?input=drawing"),
    "compare-walk": State("#compare?input=walk&a=seed:104&b=seed:119"),
    "compare-alone": State("#compare?model=letters&n=9"),
    "scenes": State("#scenes"),
    **{f"stage-{at}": State(f"#scenes?list=shipped&at={at}") for at in range(1, 7)},
    "history-empty": State("#history"),
    "history": State("#generate", _remember),
    "model": State("#model"),
    "model-all": State("#model?model=digits", _open_details),
}
"""State of the page by name, which is also that of its screenshots."""


def take(browser: Browser, address: str, name: str, width: int, theme: str) -> Path:
    """Take one screenshot. Returns its file."""
    state = STATES[name]
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if theme == "dark" else "light",
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    state.before(page)
    page.goto(f"{address}/{state.address}")
    page.wait_for_selector("main[aria-busy=false]")
    state.act(page)
    if state.settles:
        page.wait_for_selector("main[aria-busy=false]")
    page.wait_for_timeout(MESSAGE_MS)
    path = FOLDER / f"{name}-{width}-{theme}.png"
    page.screenshot(path=path, full_page=True)
    context.close()
    return path


def main() -> None:
    """Take the screenshots that were asked for, and print their files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(STATES), help="names of states")
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)), help="widths of the window")
    parser.add_argument("--themes", default=",".join(THEMES), help="light, dark")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := [name for name in names if name not in STATES]:
        parser.error(f"no state {', '.join(unknown)}; choose from {', '.join(STATES)}")
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: `make test-page` installs it")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in names:
            for width in map(int, options.widths.split(",")):
                for theme in options.themes.split(","):
                    print(take(browser, address, name, width, theme).relative_to(CHECKOUT))
        browser.close()


if __name__ == "__main__":
    main()
