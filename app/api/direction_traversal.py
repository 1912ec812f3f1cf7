"""The rows of /traverse along directions with a meaning."""

from dataclasses import dataclass

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from app.api.dependencies import Services
from app.api.limits import check_answer_pixels
from app.api.moves import choose_directions, read_start
from app.api.provenance import provenance, request_parameters
from app.api.queries import TraverseQuery
from app.api.render import image_to_json, render
from app.api.responses_schema import Traversed, TraversedDirection, Unusual
from app.api.result import Arrays, OutputOptions
from app.api.strips import Strips
from app.api.unusual import decode_and_warn, unusual_headers
from app.operations import move, offsets_along
from app.sampling.latents import GENERATOR
from app.sampling.paths import traversal_values
from app.typing import Floats


async def traverse_directions(
    request: Request, services: Services, query: TraverseQuery, output: OutputOptions
) -> Response:
    """Answer /traverse?direction=: one row for each direction, from -span to +span."""
    settings = services.settings
    model = await services.model_cache.get(query.model)
    names = choose_directions(query.direction or "", model, settings.max_images // query.steps)
    check_answer_pixels(len(names) * query.steps, model, output, settings)
    start = await read_start(request, query, model, services, most=1, zero=True)
    values = traversal_values(query.span, query.steps)
    offsets = np.concatenate([offsets_along(model, name, values) for name in names])
    z = await move(model, services.engine, np.tile(start.z, (len(offsets), 1)), offsets)
    images, (unusual,) = await decode_and_warn(model, services.engine, z, start.uploads, start.z)
    result = DirectionTraversal(
        model=model,
        parameters=request_parameters(
            "/traverse",
            model,
            **start.parameters(query),
            direction=names,
            steps=query.steps,
            span=query.span,
        ),
        seed=query.seed,
        images=images,
        start=start.z[0],
        directions=names,
        values=values,
        z=z,
        unusual=unusual,
    )
    response = await render(result, output)
    response.headers.update(unusual_headers([unusual]))
    return response


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectionTraversal(Strips):
    """Images along some directions, ordered by direction and then by value."""

    directions: tuple[str, ...]
    unusual: Unusual | None
    """A warning if an upload is not like the images that the model learnt."""

    def entry(self, row: int, value: np.float32) -> dict[str, object]:
        """Return the direction and the value of an image."""
        return {"direction": self.directions[row], "value": value}

    def arrays(self) -> Arrays:
        """Return the images (directions, steps, ...), and what was varied."""
        numbers = {
            "start": self.start,
            "z": self._latents(),
            "directions": np.array(self.directions),
            "values": self.values,
        }
        return Arrays({"images": self.rows()}, numbers)

    def document(self, output: OutputOptions) -> Traversed:
        """Return the images of each direction with their latents and values."""
        rows = zip(self.directions, self._latents(), self.rows(), strict=True)
        return Traversed(
            **provenance(self.model),
            generator=None if self.seed is None else GENERATOR,
            seed=self.seed,
            z=self.start.tolist(),
            dimensions=[],
            directions=[
                TraversedDirection(
                    direction=name,
                    values=self.values.tolist(),
                    z=z.tolist(),
                    images=[image_to_json(image, output) for image in pictures],
                )
                for name, z, pictures in rows
            ],
            unusual=self.unusual,
        )

    def _latents(self) -> Floats:
        return self.z.reshape(len(self.directions), len(self.values), -1)
