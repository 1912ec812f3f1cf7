"""How long the map of the page takes from the pointer to the new image.

    .venv/bin/python -m benchmarks.page_latency [--places 300]

A real Chromium moves its pointer over the map of `notebook`, on a server that this starts. Time is
from the event of the pointer, as the browser stamps it, to the frame after the image of that
place, or of a newer one, was drawn. Two walks: a pointer that rests at each place, and one at 60
places a second, of which the newest wins.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

CHECKOUT = Path(__file__).resolve().parent.parent
WARM_UP = 20
SPAN = 3.0
"""What the map of a model of two dimensions shows of each."""

_WATCH = """span => {
    const face = document.querySelector(".map-live"), board = document.querySelector(".board");
    window.moves = [];
    board.addEventListener("pointermove", ({timeStamp, clientX}) => {
        const {left, width} = board.getBoundingClientRect();
        moves.push({asked: timeStamp, x: span * (2 * (clientX - left) / width - 1), shown: null});
    }, true);
    new MutationObserver(() => {
        const x = Number(face.dataset.at.split(",")[0]);
        const answered = moves.findLastIndex(move => Math.abs(move.x - x) < 0.001);
        requestAnimationFrame(() => requestAnimationFrame(() => {
            const now = performance.now();
            for (const move of moves.slice(0, answered + 1)) move.shown ??= now;
        }));
    }).observe(face, {attributes: true, attributeFilter: ["data-at"]});
}"""


@contextmanager
def server() -> Iterator[str]:
    """The address of the service with the shipped models, on a free port."""
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "app", "--port", "0"]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                log.seek(0)
                if found := re.search(r"serving on (http://\S+)", log.read()):
                    yield found[1]
                    return
                time.sleep(0.1)
            sys.exit("the service did not start: python -m app says why")
        finally:
            process.terminate()
            process.wait()


def walk(page: Page, places: int, pause_ms: float) -> list[float]:
    """Milliseconds from pointer to image of each place along a line through the map."""
    box = page.locator(".board").bounding_box()
    if box is None:
        sys.exit("the page shows no map")
    page.evaluate("moves.length = 0")
    begin = time.perf_counter()
    for i in range(places):
        along = i / places
        x = round(box["x"] + box["width"] * (0.05 + 0.9 * along))
        page.mouse.move(x, box["y"] + box["height"] * (0.2 + 0.6 * (i % 7) / 7))
        due = begin + (i + 1) * pause_ms / 1e3
        page.wait_for_timeout(max(0.0, (due - time.perf_counter()) * 1e3))
    while not page.evaluate("moves.every(move => move.shown !== null)"):
        page.wait_for_timeout(50)
    times: list[float] = page.evaluate("moves.map(move => move.shown - move.asked)")
    return times


def main() -> None:
    """Measure both walks and print what they took."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--places", type=int, default=300)
    places = options.parse_args().places
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("there is no Chromium to measure with: make test-page installs one")
    with server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.goto(f"{address}/#map?model=notebook@1")
        page.wait_for_load_state("networkidle")
        page.evaluate(_WATCH, SPAN)
        walk(page, WARM_UP, 100)
        load = os.getloadavg()[0]
        print(f"{places} places a walk, milliseconds from pointer to image; load {load:.1f}")
        for name, pause_ms in (("resting at each place", 100.0), ("60 places a second", 1000 / 60)):
            times = sorted(walk(page, places, pause_ms))
            cuts = statistics.quantiles(times, n=100)
            print(f"{name:22s} p50 {cuts[49]:5.0f}   p95 {cuts[94]:5.0f}   p99 {cuts[98]:5.0f}")
        browser.close()


if __name__ == "__main__":
    main()
