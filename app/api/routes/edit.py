"""/edit: move images along directions with a meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.dependencies import ServicesDep
from app.api.limits import check_answer_pixels
from app.api.moves import choose_directions, parse_moves, read_start
from app.api.negotiation import choose_output
from app.api.openapi import images, latents_or_images_body
from app.api.provenance import latent_parameters, provenance, request_parameters
from app.api.queries import EditQuery
from app.api.query_route import QueryRoute
from app.api.render import image_field, render
from app.api.responses_schema import Edited, EditedImage, Move, Unusual
from app.api.result import Arrays, FileEntry, Grid, ImageFiles, OutputOptions, Result
from app.api.unusual import decode_and_warn, unusual_headers
from app.operations import move, offset
from app.sampling.latents import GENERATOR
from app.typing import Floats

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/edit",
    summary="Edit images along directions",
    operation_id="edit",
    response_model=Edited,
    responses=images(
        "One row of the edited reconstructions.", EditQuery.FORMATS, seed=True, uploads=True
    ),
    openapi_extra=latents_or_images_body(
        "One image, or several under the same name.", required=False
    ),
)
async def edit(
    request: Request, services: ServicesDep, query: Annotated[EditQuery, InQuery()]
) -> Response:
    """Move the latent of each image along directions of the model, and decode.

    A direction has the name of what it changes: `slant`, `thickness`, or `class:` and a class. The
    unit of `by` is one standard deviation of the data. The images to edit are uploads, that of a
    seed, or the latents of a JSON body, as for /decode. GET /models lists the directions of a model. An upload that
    is not like the data of the model is answered with a warning, as by `/reconstruct`.
    """
    settings = services.settings
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    names = choose_directions(query.direction, model, settings.max_images)
    moves = parse_moves(query.by, len(names), settings.max_span)
    start = await read_start(request, query, model, services, most=settings.max_images)
    check_answer_pixels(len(start.z), model, output, settings)
    offsets = np.tile(offset(model, names, moves), (len(start.z), 1))
    z = await move(model, services.engine, start.z, offsets)
    edited, unusual = await decode_and_warn(model, services.engine, z, start.uploads, start.z)
    result = Edits(
        model=model,
        parameters=request_parameters(
            "/edit",
            model,
            **start.parameters(query),
            direction=names,
            by=moves,
        ),
        seed=query.seed,
        images=edited,
        start=start.z,
        z=z,
        moves=tuple(zip(names, moves, strict=True)),
        unusual=unusual,
    )
    response = await render(result, output)
    response.headers.update(unusual_headers(unusual))
    return response


@dataclass(frozen=True, kw_only=True, eq=False)
class Edits(Result):
    """Edited images (`images`)."""

    start: Floats
    """The latents that were moved; (images, latent)."""
    z: Floats
    """The latents that were decoded; (images, latent)."""
    moves: Sequence[tuple[str, float]]
    unusual: Sequence[Unusual | None]
    """For each image a warning if it is an upload that is not like the images that the model learnt."""

    def grid(self) -> Grid:
        """Return the images as one row."""
        return Grid(self.images, len(self.images))

    def files(self) -> ImageFiles:
        """Return each image as a file."""
        entries = [
            FileEntry(f"{i:06d}.png", {"image": i}, z, latent_parameters(self.model, z))
            for i, z in enumerate(self.z)
        ]
        return ImageFiles(self.images, entries)

    def arrays(self) -> Arrays:
        """Return the images and their latents before and after the move."""
        return Arrays({"images": self.images}, {"start": self.start, "z": self.z})

    def document(self, output: OutputOptions) -> Edited:
        """Return each image with its latents before and after the move."""
        rows = zip(self.start, self.z, self.images, self.unusual, strict=True)
        return Edited(
            **provenance(self.model),
            generator=None if self.seed is None else GENERATOR,
            seed=self.seed,
            moves=[Move(direction=name, by=by) for name, by in self.moves],
            images=[
                EditedImage(
                    start=start.tolist(),
                    z=z.tolist(),
                    **image_field(image, output),
                    unusual=unusual,
                )
                for start, z, image, unusual in rows
            ],
        )
