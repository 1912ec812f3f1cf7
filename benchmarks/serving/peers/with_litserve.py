"""Serve with LitServe, batched as its guide shows: one predict call for all requests."""

# mypy: disable-error-code="no-any-return, import-not-found, misc, no-any-unimported"

from typing import Any

import litserve
from shared import PORT, SETTINGS, draw, draw_each, load_model, to_png
from starlette.responses import Response
from torch import Tensor


class Generate(litserve.LitAPI):
    """Draws n images from the prior."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe passes it
        """Load the model in the worker process."""
        self.vae = load_model()

    def decode_request(self, request: dict[str, Any]) -> int:
        """Read `n` from a body such as {"n": 16}."""
        return int(request["n"])

    def batch(self, inputs: list[int]) -> list[int]:
        """Return the list of requests as the batch."""
        return inputs

    def predict(self, x: int | list[int]) -> Tensor | list[Tensor]:
        """Decode one request, or a batch in one call."""
        return draw_each(self.vae, x) if isinstance(x, list) else draw(self.vae, x)

    def unbatch(self, output: list[Tensor]) -> list[Tensor]:
        """Return the images of each request."""
        return output

    def encode_response(self, output: Tensor) -> Response:
        """Encode the images as a PNG."""
        return Response(to_png(output), media_type="image/png")


if __name__ == "__main__":
    api = Generate(
        api_path="/generate",
        max_batch_size=SETTINGS.get("max_batch_size", 1),
        batch_timeout=SETTINGS.get("batch_timeout", 0.0),
    )
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=SETTINGS.get("workers", 1), timeout=False
    )
    server.run(host="127.0.0.1", port=PORT, log_level="warning", generate_client_file=False)
