"""A browser tab on the page: what a user does there, and what the user sees."""

import base64
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

_PIXELS = """pictures => pictures.map(picture => {
    const canvas = document.createElement("canvas");
    canvas.width = picture.naturalWidth ?? picture.width;
    canvas.height = picture.naturalHeight ?? picture.height;
    const brush = canvas.getContext("2d");
    brush.drawImage(picture, 0, 0);
    return Array.from(brush.getImageData(0, 0, canvas.width, canvas.height).data);
})"""

_DROP = """([selector, name, type, base64]) => {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type}));
    const at = document.querySelector(selector);
    for (const kind of ["dragover", "drop"])
        at.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: data}));
}"""

_PASTE = """([type, base64]) => {
    const bytes = Uint8Array.from(atob(base64), letter => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "pasted", {type}));
    const event = new ClipboardEvent("paste", {bubbles: true});
    // Firefox leaves out the data that a constructor gets.
    Object.defineProperty(event, "clipboardData", {value: data});
    document.dispatchEvent(event);
}"""


def run_in_a_shell(command: str, folder: Path) -> None:
    """Run a copied command in bash."""
    shell = shutil.which("bash")
    assert shell
    subprocess.run([shell, "-e"], input=command, text=True, cwd=folder, check=True)


class Visitor:
    """A browser tab on the page."""

    def __init__(self, page: Page, address: str, errors: list[str]) -> None:
        self.page = page
        self.address = address
        self.errors = errors

    # --- actions ---

    def open(self, state: str = "") -> None:
        """Load the page again with a state, which begins with #."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{state}")
        self.settled()

    def settled(self) -> None:
        """Wait until the page has no work in progress."""
        self.page.wait_for_selector("main[aria-busy=false]")

    def until(self, condition: Callable[[], bool], timeout_s: float = 20) -> None:
        """Wait for a condition that no locator can express."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true"
            self.page.wait_for_timeout(20)

    def part(self, name: str) -> None:
        self.page.get_by_role("navigation").get_by_role("link", name=name).click()
        self.settled()

    def click(self, name: str, within: str = "main") -> None:
        self.page.locator(within).get_by_role("button", name=name, exact=True).locator(
            "visible=true"
        ).first.click()
        self.settled()

    def choose(self, label: str, value: str) -> None:
        self.shown.get_by_label(label, exact=True).select_option(value)
        self.settled()

    def type(self, label: str, value: str) -> None:
        self.replace(self.shown.get_by_label(label, exact=True), value)
        self.page.keyboard.press("Enter")
        self.settled()

    def replace(self, box: Locator, value: str) -> None:
        """Type over the text of a box. Firefox reports no change of a text that is filled in."""
        box.select_text()
        self.page.keyboard.type(value)

    def menu(self, tile: Locator, action: str) -> None:
        """Open the menu of a tile and choose an action."""
        tile.click()
        self.page.get_by_role("menuitem", name=action).click()
        self.settled()

    def saved(self, button: str) -> Path:
        """Click a button, and return the file that it saves."""
        with self.page.expect_download() as download:
            self.click(button)
        return Path(download.value.path())

    def copied(self, button: str) -> str:
        """Click a button, and return the text that it copies."""
        self.click(button)
        self.page.get_by_role("status").filter(has_text="copied").wait_for()
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def drop(self, content: bytes, selector: str = "main", kind: str = "image/png") -> None:
        text = base64.b64encode(content).decode()
        self.page.evaluate(_DROP, [selector, "dropped", kind, text])

    def paste(self, content: bytes, kind: str = "image/png") -> None:
        self.page.evaluate(_PASTE, [kind, base64.b64encode(content).decode()])

    def draw(self, *points: tuple[float, float], steps: int = 4) -> None:
        """Draw a stroke on the canvas, whose top left is (0, 0) and bottom right (1, 1)."""
        pad = self.shown.locator(".pad")
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        assert box
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=steps)
        with self.page.expect_response(
            lambda r: "/reconstruct" in r.url and "preprocess=none" in r.url
        ):
            self.page.mouse.up()
        self.settled()

    # --- observations ---

    @property
    def shown(self) -> Locator:
        """The selected part of the page."""
        return self.page.locator("main > section[data-part]:not([hidden])")

    @property
    def parts(self) -> list[str]:
        """Names of the parts in the navigation."""
        return self.page.get_by_role("navigation").get_by_role("link").all_inner_texts()

    @property
    def tiles(self) -> Locator:
        return self.shown.locator(".tiles .tile")

    @property
    def state(self) -> str:
        """The state in the address, with the #."""
        return str(self.page.evaluate("location.hash"))

    def is_as_wide_as_the_window(self) -> bool:
        """Return true if nothing is wider than the window without its scroll bar, which Firefox shows."""
        script = "({scrollWidth, clientWidth}) => scrollWidth === clientWidth"
        return bool(self.page.locator("html").evaluate(script))

    def captions(self) -> list[str]:
        return self.shown.locator("figcaption").all_inner_texts()

    def pixels(self, pictures: str = "img, canvas") -> list[Any]:
        """Return the RGBA values of each image of the selected part, row by row."""
        rgba: list[Any] = self.shown.locator(pictures).evaluate_all(_PIXELS)
        return rgba

    def problem(self) -> str:
        """Return the text of the error message on the page."""
        alert = self.page.get_by_role("alert")
        alert.wait_for()
        return alert.inner_text()
