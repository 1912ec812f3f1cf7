"""Delay the requests of the page, and record them, in the browser itself."""

from dataclasses import dataclass
from typing import Any

from tests.page.visitor import Visitor

_RECORD = """delay => {
    const send = window.fetch;
    window.requestLog = [];
    window.fetch = async (address, options = {}) => {
        const image = options.body instanceof FormData ? options.body.get("image") : null;
        const entry = {
            path: new URL(address, location.href).pathname.slice(1),
            inFlight: window.requestLog.filter(other => !other.ended).length,
            isPenDown: window.isPenDown === true,
            ended: false,
            aborted: false,
            size: image?.size ?? 0,
        };
        window.requestLog.push(entry);
        if (image) {
            const start = new Uint8Array(await image.slice(0, 8).arrayBuffer());
            entry.start = String.fromCharCode(...start);
        }
        try {
            const response = await send(address, options);
            await new Promise(resolve => setTimeout(resolve, delay));
            if (options.signal?.aborted) throw new DOMException("aborted", "AbortError");
            return response;
        } catch (error) {
            entry.aborted = true;
            throw error;
        } finally {
            entry.ended = true;
        }
    };
    addEventListener("pointerdown", () => (window.isPenDown = true), true);
    addEventListener("pointerup", () => (window.isPenDown = false), true);
}"""


@dataclass(frozen=True)
class Sent:
    """One request of the page.

    Attributes:
        path: its path, without the query.
        in_flight: requests that had no answer yet when it was sent.
        pen_down: True if it was sent during a stroke.
        aborted: True if the page did not want its answer any more, or there was none.
        image: first bytes of the upload `image`.
        image_bytes: size of this upload.
    """

    path: str
    in_flight: int
    pen_down: bool
    aborted: bool
    image: bytes
    image_bytes: int


def record_requests(visitor: Visitor, delay_ms: int = 0) -> None:
    """Delay each answer and record each request, from the next page that is loaded on."""
    visitor.page.add_init_script(f"({_RECORD})({delay_ms})")


def sent(visitor: Visitor, path: str) -> list[Sent]:
    """Return the requests to one path."""
    log: list[dict[str, Any]] = visitor.page.evaluate("window.requestLog")
    return [
        Sent(
            path=entry["path"],
            in_flight=entry["inFlight"],
            pen_down=entry["isPenDown"],
            aborted=entry["aborted"],
            image=entry.get("start", "").encode("latin-1"),
            image_bytes=entry["size"],
        )
        for entry in log
        if entry["path"] == path
    ]
