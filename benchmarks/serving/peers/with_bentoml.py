"""Serve with BentoML, with adaptive batching or one call per request."""

# mypy: disable-error-code="import-not-found, untyped-decorator, misc"

import io
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType
from PIL import Image
from shared import SETTINGS, draw, draw_each, load_model, to_png
from torch import Tensor
from torchvision.utils import make_grid  # type: ignore[import-untyped]

BATCH = SETTINGS.get("max_batch_size", 1)
TRAFFIC = {"timeout": 60}
NO_ACCESS_LOG = {"access": {"enabled": False}}
Png = Annotated[Image.Image, ContentType("image/png")]


def to_image(images: Tensor) -> Image.Image:
    """Convert images to a grid as torchvision's save_image does; BentoML encodes the grid."""
    grid = make_grid(images, nrow=int(np.ceil(np.sqrt(len(images)))))
    return Image.fromarray(grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).byte().numpy())


if BATCH == 1:

    @bentoml.service(workers=SETTINGS.get("workers", 1), traffic=TRAFFIC, logging=NO_ACCESS_LOG)
    class Generate:
        """Draws n images from the prior."""

        def __init__(self) -> None:
            self.vae = load_model()

        @bentoml.api
        def generate(self, n: int) -> Png:
            """Decode one request."""
            return to_image(draw(self.vae, n))

else:

    @bentoml.service(traffic=TRAFFIC, logging=NO_ACCESS_LOG)
    class Batch:
        """Holds the model; BentoML batches the calls of the service in front of it."""

        def __init__(self) -> None:
            self.vae = load_model()

        @bentoml.api(
            batchable=True,
            max_batch_size=BATCH,
            max_latency_ms=SETTINGS.get("max_latency_ms", 60_000),
        )
        def generate(self, counts: list[int]) -> list[bytes]:
            """Decode a batch of requests in one call."""
            return [to_png(images) for images in draw_each(self.vae, counts)]

    @bentoml.service(workers=SETTINGS.get("workers", 1), traffic=TRAFFIC, logging=NO_ACCESS_LOG)
    class Generate:  # type: ignore[no-redef]
        """Draws n images from the prior; batchable calls take and return lists."""

        batch = bentoml.depends(Batch)

        @bentoml.api
        async def generate(self, n: int) -> Png:
            """Decode one request as part of a batch."""
            (png,) = await self.batch.to_async.generate([n])
            return Image.open(io.BytesIO(png))
