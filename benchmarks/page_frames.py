"""Measure how many frames per second the page shows while its map or a slider moves.

    .venv/bin/python -m benchmarks.page_frames [--frames 300] [--only "map, hover"] [--record]

Starts the service and opens parts of the page in Chromium, headless, which draws with the CPU. In each
frame of the browser, one event moves the pointer or a slider, and a frame counts as shown if a picture of
the part was painted in it. An empty page, which only asks for frames, gives the most frames that this
machine can show in the same run. CPU time is that of all processes of Chromium, per frame shown.
"""

import argparse
import itertools
import shutil
import statistics
import sys
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks.common.machine import read_machine
from benchmarks.common.recording import add_record_option, record, table
from benchmarks.page_latency import server

FRAMES = 300
WARM_UP = 60
"""Frames of a first motion that is not measured, in which the page fetches weights and compiles."""
WARM_UP_MS = 3000
"""Time after that motion until the weights are fetched and checked."""
TIMEOUT_MS = 120_000


@dataclass(frozen=True)
class Motion:
    """Something on the page that moves.

    Attributes:
        address: State of the page, such as `#map`.
        move: Name of a motion in `_RUN`: slide, press, hover, drag or turn; rest for none.
        target: Selector of the element that gets the events.
        pictures: Selector of the pictures that follow: canvases, or images.
    """

    address: str
    move: str
    target: str
    pictures: str


EMPTY = "empty page"
MOTIONS = {
    EMPTY: Motion("", "rest", "body", "canvas"),
    "map, hover": Motion("#map?model=mnist", "hover", ".board", ".map-live"),
    "map, drag": Motion("#map?model=mnist", "drag", ".board", ".board-pictures"),
    "map, zoom": Motion("#map?model=mnist", "turn", ".board", ".board-pictures"),
    "home, sigma": Motion(
        "#home?model=mnist", "slide", "#part-home .rolling input[type=range]", "#part-home canvas"
    ),
    "interpolate, position": Motion(
        "#interpolate?model=mnist",
        "slide",
        "#part-interpolate .play input",
        ".stage img, .stage canvas",
    ),
    "traverse, an arrow key held": Motion(
        "#traverse?model=mnist", "press", "#part-traverse .strip", "#part-traverse .strip canvas"
    ),
    "learn, time": Motion("#learn", "slide", "#part-learn input[type=range]", "#part-learn canvas"),
}

_RUN = """async ({move, target, pictures, frames}) => {
    const at = document.querySelector(target);
    const box = at.getBoundingClientRect();
    const there = (fraction) => ({
        bubbles: true, cancelable: true, pointerId: 1, pointerType: "mouse", button: 0,
        clientX: box.left + box.width * (0.1 + 0.8 * fraction), clientY: box.top + box.height * (0.3 + 0.4 * fraction),
    });
    const point = (kind, fraction) => at.dispatchEvent(new PointerEvent(kind, there(fraction)));
    const places = move === "slide" && at.step !== "any" ? Math.round((at.max - at.min) / (at.step || 1)) : 120;
    const moves = {
        rest() {},
        hover: (fraction) => point("pointermove", fraction),
        drag: (fraction) => point("pointermove", fraction),
        turn: (fraction, i) => at.dispatchEvent(new WheelEvent("wheel", {...there(0.5), deltaY: i % 120 < 60 ? -40 : 40})),
        slide(fraction) {
            at.value = Number(at.min) + fraction * (at.max - at.min);
            at.dispatchEvent(new Event("input", {bubbles: true}));
        },
    };

    const tiles = [...at.children];
    const press = () => {
        const here = Math.max(0, tiles.indexOf(document.activeElement));
        if (!here || here === tiles.length - 1) direction = here ? "ArrowLeft" : "ArrowRight";
        tiles[here].focus();
        tiles[here].dispatchEvent(new KeyboardEvent("keydown", {key: direction, repeat: true, bubbles: true}));
    };
    let direction = "ArrowRight";
    moves.press = press;

    let isPainted = move === "rest";
    for (const name of ["putImageData", "drawImage", "clearRect"]) {
        const paint = CanvasRenderingContext2D.prototype[name];
        CanvasRenderingContext2D.prototype[name] = function (...values) {
            isPainted ||= this.canvas instanceof HTMLCanvasElement && this.canvas.isConnected && this.canvas.matches(pictures);
            return paint.apply(this, values);
        };
    }
    const watch = new MutationObserver(() => (isPainted = true));
    for (const image of document.querySelectorAll(pictures)) {
        if (image.localName === "img") watch.observe(image.closest(".stage"), {subtree: true, childList: true, attributeFilter: ["src"]});
    }

    const frame = () => new Promise(requestAnimationFrame);
    const shown = [];
    if (move === "drag") point("pointerdown", 0);
    let last = await frame();
    const begin = last;
    for (let i = 0; i < frames; i++) {
        const step = i % (2 * places);
        moves[move]((step < places ? step : 2 * places - step) / places, i);
        last = await frame();
        if (isPainted) shown.push(last);
        isPainted = move === "rest";
    }
    if (move === "drag") point("pointerup", 0);
    watch.disconnect();
    return {shown, seconds: (last - begin) / 1e3};
}"""


@dataclass(frozen=True)
class Run:
    """One motion.

    Attributes:
        shown_per_s: Frames per second in which the pictures changed.
        cpu_ms: CPU time of the browser per frame that was shown.
        p95_ms: Milliseconds between two frames shown, 95th percentile.
        longest_ms: The longest such time.
    """

    shown_per_s: float
    cpu_ms: float
    p95_ms: float
    longest_ms: float


def move(page: Page, motion: Motion, frames: int) -> Any:
    """Move for a number of frames; return the times (ms) at which pictures were shown, and the duration."""
    task = {
        "move": motion.move,
        "target": motion.target,
        "pictures": motion.pictures,
        "frames": frames,
    }
    return page.evaluate(_RUN, task)


def run(page: Page, processes: CDPSession, motion: Motion, frames: int) -> Run:
    """Move for a number of frames, and measure."""
    cpu_before_s = _cpu_seconds(processes)
    moved = move(page, motion, frames)
    cpu_s = _cpu_seconds(processes) - cpu_before_s
    shown = moved["shown"]
    if len(shown) < 3:
        sys.exit(f"the page showed {len(shown)} frames of {motion.address}: does it still match?")
    gaps = [after - before for before, after in itertools.pairwise(shown)]
    return Run(
        shown_per_s=len(shown) / moved["seconds"],
        cpu_ms=1e3 * cpu_s / len(shown),
        p95_ms=statistics.quantiles(gaps, n=20, method="inclusive")[-1],
        longest_ms=max(gaps),
    )


def measure(browser: Browser, address: str, motion: Motion, frames: int) -> Run:
    """Open a part of the page in a new tab, and move there twice, of which the second time counts."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    page.set_default_timeout(TIMEOUT_MS)
    processes = browser.new_browser_cdp_session()
    if motion.address:
        page.goto(f"{address}/{motion.address}")
        page.wait_for_selector("main[aria-busy=false]")
        page.wait_for_load_state("networkidle")
        page.locator(motion.target).first.scroll_into_view_if_needed()
    move(page, motion, WARM_UP)
    page.wait_for_timeout(WARM_UP_MS)
    result = run(page, processes, motion, frames)
    page.close()
    return result


def main() -> None:
    """Measure the motions and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of a motion")
    parser.add_argument("--only", choices=list(MOTIONS), help="measure one motion")
    add_record_option(parser)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is missing: `make test-page` installs it")
    machine = read_machine()
    names = [EMPTY, options.only] if options.only else list(MOTIONS)
    with server() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        runs = {name: measure(browser, address, MOTIONS[name], options.frames) for name in names}
        version = browser.version
        browser.close()
    most = runs[EMPTY].shown_per_s
    text = f"Chromium {version}, headless, drawing with the CPU; {options.frames} frames per motion\n\n"
    head = [
        "motion",
        "frames shown per s",
        "of an empty page",
        "CPU ms per frame",
        "p95 ms",
        "longest ms",
    ]
    text += table(head, [_row(name, one, most) for name, one in runs.items()])
    print(f"{machine.summary()}\n{text}")
    if options.record:
        figures = {name: vars(one) for name, one in runs.items()}
        print(f"recorded in {record('page_frames', machine, text, {'frames': figures})}")


def _row(name: str, one: Run, most: float) -> list[str]:
    return [
        name,
        f"{one.shown_per_s:.1f}",
        f"{one.shown_per_s / most:.2f}",
        f"{one.cpu_ms:.1f}",
        f"{one.p95_ms:.0f}",
        f"{one.longest_ms:.0f}",
    ]


def _cpu_seconds(processes: CDPSession) -> float:
    """Return the CPU time of all processes of the browser."""
    answer = processes.send("SystemInfo.getProcessInfo")
    return float(sum(process["cpuTime"] for process in answer["processInfo"]))


if __name__ == "__main__":
    main()
