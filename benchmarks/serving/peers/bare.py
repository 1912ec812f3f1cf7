"""Send a constant PNG from an ASGI app without a framework: the cost of uvicorn alone."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import uvicorn

PNGS = {file.stem: file.read_bytes() for file in Path(os.environ["PNGS"]).glob("*.png")}

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], _receive: Receive, send: Send) -> None:
    """Answer every request with the same bytes."""
    (n,) = parse_qs(scope["query_string"].decode())["n"]
    png = PNGS[n]
    headers = [(b"content-type", b"image/png"), (b"content-length", str(len(png)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": png})


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="warning", access_log=False, lifespan="off"
    )
