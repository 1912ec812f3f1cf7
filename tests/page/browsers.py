"""Debian's Chromium and Debian's Firefox, as the tests of the page start them."""

import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Playwright

from tests.page import firefox_relay

PROGRAMS = {"chromium": "chromium", "firefox": "firefox-esr"}
"""Program of each browser, which is also the name of its Debian package."""

Moments = list[list[tuple[float, float]]]
"""Places (x, y) of fingers in the window, in pixels, from one moment to the next."""

_CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
_DISCARD_PORT = 9
_FIREFOX_PREFERENCES: dict[str, str | float | bool] = {
    "dom.events.testing.asyncClipboard": True,  # the clipboard can be read without a question
    # Firefox never sends a request for localhost to a proxy. Those to other hosts fail.
    "network.proxy.type": 1,
    **{f"network.proxy.{kind}": "127.0.0.1" for kind in ("http", "ssl", "socks")},
    **{f"network.proxy.{kind}_port": _DISCARD_PORT for kind in ("http", "ssl", "socks")},
}


class Browsers:
    """The running browsers of one name, which can reach no other host.

    Firefox has a theme and reduced motion as preferences of the whole browser, so that each
    combination that is needed is a Firefox of its own.
    """

    def __init__(self, playwright: Playwright, name: str) -> None:
        self.name = name
        self._playwright = playwright
        self._running: dict[tuple[str, str], Browser] = {}
        self._relays: dict[Browser, str] = {}

    def get(self, theme: str = "light", motion: str = "no-preference") -> Browser:
        """Return the running browser, and start it first if necessary."""
        key = (theme, motion) if self.name == "firefox" else ("", "")
        if key not in self._running:
            self._running[key] = (
                self._start_firefox(theme, motion)
                if self.name == "firefox"
                else self._playwright.chromium.launch(
                    executable_path=self._program(), args=_CHROMIUM_ARGUMENTS
                )
            )
        return self._running[key]

    def close(self) -> None:
        for browser in self._running.values():
            browser.close()

    def touch(self, page: Page, moments: Moments) -> None:
        """Touch a page with one or more fingers, which move from one moment to the next."""
        if self.name == "chromium":
            _touch_in_chromium(page, moments)
        else:
            assert page.context.browser
            _touch_in_firefox(self._relays[page.context.browser], page, moments)

    def _program(self) -> str:
        program = shutil.which(PROGRAMS[self.name])
        if program is None:
            pytest.skip(f"{PROGRAMS[self.name]} is not installed; make test-page installs it")
        return program

    def _start_firefox(self, theme: str, motion: str) -> Browser:
        """Start Firefox as it is published, which Playwright drives over WebDriver BiDi."""
        preferences = {
            "layout.css.prefers-color-scheme.content-override": ["dark", "light"].index(theme),
            "ui.prefersReducedMotion": int(motion == "reduce"),
        }
        with tempfile.TemporaryDirectory() as folder:
            address_file, start = Path(folder, "address"), Path(folder, "firefox")
            relay = [sys.executable, firefox_relay.__file__, str(address_file), self._program()]
            start.write_text(f'#!/bin/sh\nexec {shlex.join(relay)} "$@"\n', encoding="utf-8")
            start.chmod(0o700)
            browser = self._playwright.firefox.launch(
                channel="moz-firefox",
                executable_path=start,
                firefox_user_prefs=_FIREFOX_PREFERENCES | preferences,
            )
            self._relays[browser] = address_file.read_text(encoding="utf-8")
        return browser


def _touch_in_chromium(page: Page, moments: Moments) -> None:
    browser = page.context.new_cdp_session(page)

    def send(kind: str, fingers: list[tuple[float, float]]) -> None:
        points = [{"id": i, "x": x, "y": y} for i, (x, y) in enumerate(fingers)]
        browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    send("touchStart", moments[0])
    for fingers in moments[1:]:
        send("touchMove", fingers)
    send("touchEnd", [])


def _touch_in_firefox(relay: str, page: Page, moments: Moments) -> None:
    def command(method: str, params: dict[str, Any]) -> Any:
        body = {"method": method, "params": params}
        answer = httpx.post(f"{relay}/command", json=body, timeout=60).raise_for_status().json()
        assert answer["type"] == "success", answer
        return answer["result"]

    tabs = command("browsingContext.getTree", {"maxDepth": 0})["contexts"]
    [tab] = [tab["context"] for tab in tabs if tab["url"] == page.url]
    fingers = []
    for i, places in enumerate(zip(*moments, strict=True)):
        first, *others = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in places]
        down, up = [{"type": f"pointer{kind}", "button": 0} for kind in ("Down", "Up")]
        fingers.append(
            {
                "type": "pointer",
                "id": f"finger {i}",
                "parameters": {"pointerType": "touch"},
                "actions": [first, down, *others, up],
            }
        )
    command("input.performActions", {"context": tab, "actions": fingers})
