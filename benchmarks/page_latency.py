"""Measure how fast the page is: from pointer movement to new image, and from nothing to images.

    .venv/bin/python -m benchmarks.page_latency [--places 300] [--record]

Starts the service and moves Chromium's pointer over the map of `notebook`. The time is from the
browser's timestamp of the pointer event to the frame after the image of that place, or of a later
one, was drawn. There are two walks: one rests at each place, the other visits 60 places per second,
of which the page only shows the latest.

`--loading` measures instead how long the page takes to its first images with an empty cache, over
the loopback interface and over an emulated slow 3G connection, and how many bytes it needs.
"""

import argparse
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

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.page_loading import SLOW_3G, load

CHECKOUT = Path(__file__).resolve().parent.parent
WARM_UP = 20
"""Places of a first walk that is not measured."""
WALKS = {"rest at each place": 100.0, "60 places per second": 1000 / 60}
"""Walk -> pause between two places (ms)."""
SPAN = 3.0
"""Largest absolute value of each latent on the map of a model with two dimensions."""

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
    """Start the service with the shipped models on a free port, and yield its address."""
    with tempfile.TemporaryFile("w+") as log:
        command = [sys.executable, "-m", "app", "--port", "0"]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        try:
            while process.poll() is None:
                log.seek(0)
                if match := re.search(r"serving on (http://\S+)", log.read()):
                    yield match[1]
                    return
                time.sleep(0.1)
            sys.exit("the service did not start: run python -m app to see why")
        finally:
            process.terminate()
            process.wait()


def walk(page: Page, places: int, pause_ms: float) -> list[float]:
    """Move along a line through the map; return the milliseconds from pointer to image."""
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
    """Measure both walks and print percentiles."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--places", type=int, default=300, help="places of a walk")
    add_record_option(parser)
    parser.add_argument("--loading", action="store_true", help="measure the loading of the page")
    parser.add_argument("--rounds", type=int, default=5, help="times that the page is loaded")
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: `make test-page` installs it")
    machine = read_machine()
    with server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        if options.loading:
            text, figures = measure_loading(browser, address, options.rounds)
            browser.close()
            print(f"{machine.summary()}\n{text}")
            if options.record:
                print(f"recorded in {record('page_loading', machine, text, figures)}")
            return
        page = browser.new_page(viewport={"width": 1200, "height": 1000})
        page.goto(f"{address}/#map?model=notebook@3")
        page.wait_for_load_state("networkidle")
        page.evaluate(_WATCH, SPAN)
        walk(page, WARM_UP, 100)
        times = {name: walk(page, options.places, pause_ms) for name, pause_ms in WALKS.items()}
        browser.close()
    text = f"{options.places} places per walk, milliseconds from pointer to image\n\n"
    text += table(["walk", "p50", "p95", "p99"], [_row(name, ms) for name, ms in times.items()])
    print(f"{machine.summary()}\n{text}")
    if options.record:
        print(f"recorded in {record('page_latency', machine, text, {'milliseconds': times})}")


def measure_loading(browser: Browser, address: str, rounds: int) -> tuple[str, dict[str, object]]:
    """Load the page several times over each connection. Returns a table and its figures."""
    load(browser, address)
    rows = []
    figures: dict[str, object] = {}
    for name, connection in (("loopback", None), ("slow 3G", SLOW_3G)):
        loadings = [load(browser, address, connection) for _ in range(rounds)]
        columns = ("wire_bytes", "first_images_ms", "settled_bytes", "settled_ms")
        medians = [statistics.median(getattr(one, key) for one in loadings) for key in columns]
        rows.append([name, str(len(loadings[0].addresses)), *(f"{value:.0f}" for value in medians)])
        figures[name] = [{key: getattr(one, key) for key in columns} for one in loadings]
    text = (
        f"medians of {rounds} loadings with an empty cache, from the first byte of the document\n\n"
    )
    heading = ["connection", "requests", "bytes", "first images ms", "settled bytes", "settled ms"]
    return text + table(heading, rows), figures


def _row(name: str, milliseconds: list[float]) -> list[str]:
    cuts = statistics.quantiles(milliseconds, n=100)
    return [name, *(f"{cuts[percent - 1]:.0f}" for percent in (50, 95, 99))]


if __name__ == "__main__":
    main()
