"""Fuzz the address of the page, and the settings in a PNG, with the page's own modules in Chromium."""

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Route, sync_playwright

WEB = Path(__file__).parents[2] / "app" / "web"
ORIGIN = "http://page.invalid"
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".html": "text/html"}
_RUNS_PER_CALL = 20_000


def fuzz(runs: int, seed: int) -> list[str]:
    """Read mutated addresses; return a line for each fault."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("the target address needs chromium; `make test-page` installs it")
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/*", _serve)
        page.goto(f"{ORIGIN}/")
        for begin in range(0, runs, _RUNS_PER_CALL):
            count = min(_RUNS_PER_CALL, runs - begin)
            faults += page.evaluate(
                "async ([count, seed]) => (await import('/fuzz.mjs')).fuzz(count, seed)",
                [count, seed * 1_000_003 + begin],
            )
            if faults:
                break
        browser.close()
    return faults


def _serve(route: Route) -> None:
    """Answer with a module of the page, or with the fuzzer; nothing leaves the browser."""
    path = urlsplit(route.request.url).path
    if path == "/":
        route.fulfill(body="<!doctype html>", content_type="text/html")
        return
    file = Path(__file__).parent / "fuzz.mjs" if path == "/fuzz.mjs" else WEB / path.lstrip("/")
    options: dict[str, Any] = {"body": file.read_text(), "content_type": _TYPES[file.suffix]}
    route.fulfill(**options)
