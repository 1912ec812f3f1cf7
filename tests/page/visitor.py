"""What someone does at the page, and what they see there."""

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
    document.dispatchEvent(new ClipboardEvent("paste", {bubbles: true, clipboardData: data}));
}"""


def run_in_a_shell(command: str, folder: Path) -> None:
    """Paste a command into a shell."""
    shell = shutil.which("bash")
    assert shell
    subprocess.run([shell, "-e"], input=command, text=True, cwd=folder, check=True)


class Visitor:
    """One browser tab at the page."""

    def __init__(self, page: Page, address: str, complaints: list[str]) -> None:
        self.page = page
        self.address = address
        self.complaints = complaints

    # --- going and waiting ---

    def open(self, state: str = "") -> None:
        """Load the page anew with this state after the #."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.address}/{state}")
        self.settled()

    def settled(self) -> None:
        """Wait until the page shows what it was asked for."""
        self.page.wait_for_selector("main[aria-busy=false]")

    def until(self, true: Callable[[], bool], within_s: float = 20) -> None:
        """Wait for what no locator can see; the page's own policy forbids wait_for_function."""
        deadline = time.monotonic() + within_s
        while not true():
            assert time.monotonic() < deadline, "it did not come true"
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
        box = self.shown.get_by_label(label, exact=True)
        box.fill(value)
        box.press("Enter")
        self.settled()

    def menu(self, tile: Locator, action: str) -> None:
        """Open the menu of a tile and choose from it."""
        tile.click()
        self.page.get_by_role("menuitem", name=action).click()
        self.settled()

    def saved(self, button: str) -> Path:
        """The file that a button saves."""
        with self.page.expect_download() as download:
            self.click(button)
        return Path(download.value.path())

    def copied(self, button: str) -> str:
        """The text that a button copies."""
        self.click(button)
        self.page.get_by_role("status").filter(has_text="copied").wait_for()
        return str(self.page.evaluate("navigator.clipboard.readText()"))

    def drop(self, content: bytes, selector: str = "main", kind: str = "image/png") -> None:
        text = base64.b64encode(content).decode()
        self.page.evaluate(_DROP, [selector, "dropped", kind, text])

    def paste(self, content: bytes, kind: str = "image/png") -> None:
        self.page.evaluate(_PASTE, [kind, base64.b64encode(content).decode()])

    def draw(self, *points: tuple[float, float], steps: int = 4) -> None:
        """A stroke on the canvas; from (0, 0) at its top left to (1, 1)."""
        box = self.page.locator(".pad").bounding_box()
        assert box
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=steps)
        with self.page.expect_response(lambda r: "preprocess=none" in r.url):
            self.page.mouse.up()
        self.settled()

    # --- seeing ---

    @property
    def shown(self) -> Locator:
        """The part that is seen."""
        return self.page.locator("main > section[data-part]:not([hidden])")

    @property
    def parts(self) -> list[str]:
        """What the navigation offers."""
        return self.page.get_by_role("navigation").get_by_role("link").all_inner_texts()

    @property
    def tiles(self) -> Locator:
        return self.shown.locator(".tiles .tile")

    @property
    def state(self) -> str:
        """What the address says after the #."""
        return str(self.page.evaluate("location.hash"))

    def captions(self) -> list[str]:
        return self.shown.locator("figcaption").all_inner_texts()

    def pixels(self, pictures: str = "img, canvas") -> list[Any]:
        """RGBA of each picture of the part, row by row."""
        found: list[Any] = self.shown.locator(pictures).evaluate_all(_PIXELS)
        return found

    def problem(self) -> str:
        """What the page says went wrong."""
        alert = self.page.get_by_role("alert")
        alert.wait_for()
        return alert.inner_text()
