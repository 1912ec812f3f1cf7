"""The page asks no other host for anything, whatever one does with it."""

from urllib.parse import urlsplit

from playwright.sync_api import Request, WebSocket

from tests.page.test_uploads import a_seven, saved
from tests.page.visitor import Visitor

STAGE = "#scenes?list=shipped&at=1"


def test_a_tour_of_all_parts_sends_requests_to_the_service_alone(visitor: Visitor) -> None:
    asked: list[str] = []

    def add(sender: Request | WebSocket) -> None:
        asked.append(sender.url)

    visitor.page.context.on("request", add)
    visitor.page.on("websocket", add)
    visitor.open()
    for part in visitor.parts:
        visitor.part(part)
    visitor.part("Draw")
    visitor.drop(saved(a_seven(), "WEBP"), kind="image/webp")
    visitor.page.wait_for_selector("#part-draw .triptych img")
    visitor.part("Generate")
    visitor.click("Save PNG")
    visitor.open(STAGE)
    for _ in range(6):
        visitor.page.keyboard.press("ArrowRight")
        visitor.settled()
    visitor.page.wait_for_load_state("networkidle")

    addresses = [urlsplit(url) for url in asked if not url.startswith(("data:", "blob:", "about:"))]
    origins = {f"{url.scheme}://{url.netloc}" for url in addresses}
    assert origins == {visitor.address}
    paths = {url.path.split("/")[1] for url in addresses}
    assert {"", "static", "models", "generate", "reconstruct", "score"} <= paths


def test_the_browser_of_these_tests_would_notice_another_host(visitor: Visitor) -> None:
    """The page's own rules forbid the request; one of a page without rules reaches nobody."""
    visitor.page.goto("about:blank")
    script = """() => fetch("http://zserve.test/", {mode: "no-cors"})
        .then(() => "answered", () => "refused")"""
    assert visitor.page.evaluate(script) == "refused"
    visitor.page.goto("about:blank")  # after everything that the browser says about the request
    assert "request to another host: http://zserve.test/" in visitor.errors
    visitor.errors.clear()
