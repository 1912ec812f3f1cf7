"""Count the bytes and measure the time until the page shows its first images.

The counting starts with an empty cache. `SLOW_3G` is a connection of 400 kbit/s with 400 ms for each
round trip, which Chromium emulates. Times begin with the first byte of the document.
"""

from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, Page

SLOW_3G = {"latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
"""Milliseconds for each request, and bytes per second."""
MOST_BYTES = 60_000
"""Bytes over the wire before the first images that the page may need."""
TIMEOUT_MS = 120_000

_WATCH = """() => {
    const isDrawn = canvas => {
        const brush = canvas.width && canvas.getContext("2d");
        return brush && brush.getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean);
    };
    const isShown = picture => picture.checkVisibility()
        && (picture.matches("img") ? picture.complete && picture.naturalWidth > 0 : isDrawn(picture));
    const report = () => {
        const [{responseStart}] = performance.getEntriesByType("navigation");
        return performance.now() - responseStart;
    };
    // What the page fetches after it has put its first images in place is not for them.
    const wanted = () => {
        const [placed] = performance.getEntriesByName("first pictures");
        const [{fetchStart}] = performance.getEntriesByType("navigation");
        return Math.min(performance.now(), placed?.startTime ?? Infinity) - fetchStart;
    };
    const look = () => {
        if ([...document.querySelectorAll("main img, main canvas")].some(isShown)) firstImages(report(), wanted());
        else requestAnimationFrame(look);
    };
    const settle = () => {
        if (document.querySelector("main[aria-busy=false]")) settled(report());
        else requestAnimationFrame(settle);
    };
    requestAnimationFrame(look);
    requestAnimationFrame(settle);
}"""


@dataclass
class Loading:
    """Bytes and times of loading the page.

    Attributes:
        requests: Time and address of each request.
        received: Time and number of bytes, headers and bodies, of what arrived.
        first_images_ms: Time until the first images.
        first_images_at: Time until which requests were for the first images.
        settled_ms: Time until the page has nothing left to show.

    Times without a unit in their name are in seconds since the request for the document. The clock of the
    day is not used: if it is set while the browser runs, page and driver have different ones.
    """

    requests: list[tuple[float, str]] = field(default_factory=list)
    received: list[tuple[float, int]] = field(default_factory=list)
    first_images_ms: float = 0.0
    first_images_at: float = 0.0
    settled_ms: float = 0.0
    _began_s: float | None = None
    """Time of the request for the document, by the clock of the driver's events."""

    @property
    def addresses(self) -> list[str]:
        """Everything that was requested for the first images."""
        return [address for at, address in self.requests if at <= self.first_images_at]

    @property
    def wire_bytes(self) -> int:
        """Bytes that arrived before the first images."""
        return sum(number for at, number in self.received if at <= self.first_images_at)

    @property
    def settled_bytes(self) -> int:
        """Bytes until the page had nothing left to show."""
        return sum(number for _, number in self.received)

    def show(self, ms: float, at_ms: float) -> None:
        """Note that the first images are shown."""
        self.first_images_ms, self.first_images_at = ms, at_ms / 1000

    def request(self, event: dict[str, Any]) -> None:
        """Add a request, an event of the driver."""
        if self._began_s is None:
            self._began_s = event["timestamp"]
        self.requests.append((event["timestamp"] - self._began_s, event["request"]["url"]))

    def add(self, timestamp: float, number: int) -> None:
        """Add bytes that have arrived."""
        if not self.settled_ms and self._began_s is not None:
            self.received.append((timestamp - self._began_s, number))


def load(browser: Browser, address: str, connection: dict[str, int] | None = None) -> Loading:
    """Load the page in a new browser context, over an emulated connection if one is given."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    loading = Loading()
    page.expose_function("firstImages", loading.show)
    page.expose_function("settled", lambda ms: setattr(loading, "settled_ms", ms))
    page.add_init_script(f"({_WATCH})()")
    _count(page, loading, connection)
    page.goto(address, wait_until="commit", timeout=TIMEOUT_MS)
    page.wait_for_selector("main[aria-busy=false]", timeout=TIMEOUT_MS)
    while not (loading.first_images_ms and loading.settled_ms):
        page.wait_for_timeout(20)
    context.close()
    return loading


def _count(page: Page, loading: Loading, connection: dict[str, int] | None) -> None:
    protocol = page.context.new_cdp_session(page)
    protocol.on("Network.requestWillBeSent", loading.request)
    protocol.on(
        "Network.responseReceived",
        lambda event: loading.add(event["timestamp"], event["response"]["encodedDataLength"]),
    )
    protocol.on(
        "Network.dataReceived",
        lambda event: loading.add(event["timestamp"], event["encodedDataLength"]),
    )
    protocol.send("Network.enable")
    protocol.send("Network.setCacheDisabled", {"cacheDisabled": True})
    if connection is not None:
        protocol.send("Network.emulateNetworkConditions", {"offline": False, **connection})
