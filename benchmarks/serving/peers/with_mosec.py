"""Serve with mosec: a worker process behind its HTTP server, with dynamic batching."""

# mypy: disable-error-code="import-not-found, misc, no-any-unimported"

from typing import Any

from mosec import Runtime, Server, Worker
from shared import SETTINGS, draw, draw_each, load_model, to_png

BATCH = SETTINGS.get("max_batch_size", 1)


class Generate(Worker):
    """Draws n images from the prior."""

    resp_mime_type = "image/png"

    def __init__(self) -> None:
        self.vae = load_model()

    def forward(self, data: Any) -> Any:
        """Answer one request, or a list of requests if batching is on."""
        if BATCH == 1:
            return to_png(draw(self.vae, int(data["n"])))
        return [to_png(images) for images in draw_each(self.vae, [int(d["n"]) for d in data])]

    def serialize(self, data: bytes) -> bytes:
        """Return the PNG unchanged."""
        return data


if __name__ == "__main__":
    server = Server()
    generate = Runtime(
        Generate,
        num=SETTINGS.get("workers", 1),
        max_batch_size=BATCH,
        max_wait_time=SETTINGS.get("max_wait_ms", 0),
        timeout=60,
    )
    server.register_runtime({"/generate": [generate]})
    server.run()
