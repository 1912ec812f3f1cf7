"""Count the bytes and measure the time until the page shows its first images.

The counting starts with an empty cache. `SLOW_3G` is a connection of 400 kbit/s with 400 ms for each
round trip, which Chromium emulates. Times begin with the first byte of the document.
"""

from dataclasses import dataclass, field

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
    const look = () => {
        if ([...document.querySelectorAll("main img, main canvas")].some(isShown)) firstImages(report());
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
        addresses: Everything that was requested before the first images.
        wire_bytes: Bytes of headers and bodies before the first images.
        first_images_ms: Time until the first images.
        settled_ms: Time until the page has nothing left to show.
        settled_bytes: Bytes until then.
    """

    addresses: list[str] = field(default_factory=list)
    wire_bytes: int = 0
    first_images_ms: float = 0.0
    settled_ms: float = 0.0
    settled_bytes: int = 0

    def add(self, number: int) -> None:
        """Add bytes that have arrived."""
        if not self.first_images_ms:
            self.wire_bytes += number
        if not self.settled_ms:
            self.settled_bytes += number

    def request(self, address: str) -> None:
        """Add a request."""
        if not self.first_images_ms:
            self.addresses.append(address)


def load(browser: Browser, address: str, connection: dict[str, int] | None = None) -> Loading:
    """Load the page in a new browser context, over an emulated connection if one is given."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    page = context.new_page()
    loading = Loading()
    page.expose_function("firstImages", lambda ms: setattr(loading, "first_images_ms", ms))
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
    protocol.on("Network.requestWillBeSent", lambda event: loading.request(event["request"]["url"]))
    protocol.on(
        "Network.responseReceived",
        lambda event: loading.add(event["response"]["encodedDataLength"]),
    )
    protocol.on("Network.dataReceived", lambda event: loading.add(event["encodedDataLength"]))
    protocol.send("Network.enable")
    protocol.send("Network.setCacheDisabled", {"cacheDisabled": True})
    if connection is not None:
        protocol.send("Network.emulateNetworkConditions", {"offline": False, **connection})
