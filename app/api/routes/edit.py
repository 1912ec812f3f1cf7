"""/edit: move images along directions with a meaning, and the rows of /traverse along directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.dependencies import Services, ServicesDep
from app.api.encode_uploads import encode_uploads
from app.api.latents_body import read_latents
from app.api.limits import at_most, check_answer_pixels
from app.api.moves import choose_directions, move, offset, offsets_along, parse_moves
from app.api.negotiation import choose_output
from app.api.openapi import images, latents_or_images_body
from app.api.provenance import latent_parameters, provenance, request_parameters
from app.api.queries import EditQuery, TraverseQuery
from app.api.query_route import QueryRoute
from app.api.render import image_field, image_to_json, render
from app.api.request_body import content_type_of, read_uploads
from app.api.responses_schema import Edited, EditedImage, Move, Traversed, TraversedDirection
from app.api.result import Arrays, FileEntry, Grid, ImageFiles, OutputOptions, Result
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.sampling.latents import GENERATOR, consecutive_seeds, standard_normal
from app.sampling.paths import traversal_values
from app.typing import Bytes, Floats

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/edit",
    summary="Edit images along directions",
    operation_id="edit",
    response_model=Edited,
    responses=images("One row of the edited reconstructions.", EditQuery.FORMATS, seed=True),
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
    seed, or the latents of a JSON body, as for /decode. GET /models lists the directions of a model.
    """
    settings = services.settings
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    names = choose_directions(query.direction, model, settings.max_images)
    moves = parse_moves(query.by, len(names), settings.max_span)
    start = await _latents(request, query, model, services, most=settings.max_images)
    check_answer_pixels(len(start.z), model, output, settings)
    offsets = np.tile(offset(model, names, moves), (len(start.z), 1))
    z = await move(model, services.engine, start.z, offsets)
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
        images=await services.engine.decode_levels(model, z),
        start=start.z,
        z=z,
        moves=tuple(zip(names, moves, strict=True)),
    )
    return await render(result, output)


async def traverse_directions(
    request: Request, services: Services, query: TraverseQuery, output: OutputOptions
) -> Response:
    """Answer /traverse?direction=: one row for each direction, from -span to +span."""
    settings = services.settings
    model = await services.model_cache.get(query.model)
    names = choose_directions(query.direction or "", model, settings.max_images // query.steps)
    check_answer_pixels(len(names) * query.steps, model, output, settings)
    start = await _latents(request, query, model, services, most=1, zero=True)
    values = traversal_values(query.span, query.steps)
    offsets = np.concatenate([offsets_along(model, name, values) for name in names])
    z = await move(model, services.engine, np.tile(start.z, (len(offsets), 1)), offsets)
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
        images=await services.engine.decode_levels(model, z),
        start=start.z[0],
        directions=names,
        values=values,
        z=z,
    )
    return await render(result, output)


@dataclass(frozen=True, eq=False)
class Start:
    """The latents to move, (images, latent), and where they came from."""

    z: Floats
    uploaded: bool = False
    stored: bool = False
    """True if the latents are needed to reproduce the answer: they came with the request."""

    def parameters(self, query: EditQuery | TraverseQuery) -> dict[str, object]:
        """Return the parameters that reproduce the latents; one latent at most is stored."""
        return {
            "seed": query.seed,
            "generator": None if query.seed is None else GENERATOR,
            "images": len(self.z) if len(self.z) > 1 else None,
            "preprocess": query.preprocess if self.uploaded else None,
            "z": self.z[0].tolist() if self.stored and len(self.z) == 1 else None,
        }


async def _latents(
    request: Request,
    query: EditQuery | TraverseQuery,
    model: LoadedModel,
    services: Services,
    *,
    most: int,
    zero: bool = False,
) -> Start:
    """Return the latents of uploads, of a seed or of a JSON body.

    Raises ParameterError if there is more than one source, and, unless `zero`, if there is none.
    """
    settings = services.settings
    remedy = "send images, or latents as JSON, or a seed"
    if content_type_of(request) == "application/json":
        if query.seed is not None:
            raise ParameterError("both latents and a seed were sent", remedy=remedy)
        z = await read_latents(request, model.latent, max_rows=most)
        at_most("the number of rows of z", len(z), most, "ZSERVE_MAX_IMAGES")
        if not len(z):
            raise ParameterError("z has no rows", remedy=remedy)
        return Start(z, stored=True)
    sent = (await read_uploads(request, ["image"], settings)).get("image", ())
    if sent and query.seed is not None:
        raise ParameterError("both images and a seed were sent", remedy=remedy)
    if sent:
        at_most("the number of images", len(sent), most, "ZSERVE_MAX_IMAGES")
        _, mu, _ = await encode_uploads(sent, query, model, services)
        return Start(np.asarray(mu, np.float32), uploaded=True, stored=True)
    if query.seed is not None:
        return Start(standard_normal(consecutive_seeds(query.seed, 1), model.latent))
    if zero:
        return Start(np.zeros((1, model.latent), np.float32))
    raise ParameterError("there is nothing to edit", remedy=remedy)


@dataclass(frozen=True, kw_only=True, eq=False)
class Edits(Result):
    """Edited images (`images`)."""

    start: Floats
    """The latents that were moved; (images, latent)."""
    z: Floats
    """The latents that were decoded; (images, latent)."""
    moves: Sequence[tuple[str, float]]

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
        pairs = zip(self.start, self.z, self.images, strict=True)
        return Edited(
            **provenance(self.model),
            generator=None if self.seed is None else GENERATOR,
            seed=self.seed,
            moves=[Move(direction=name, by=by) for name, by in self.moves],
            images=[
                EditedImage(start=start.tolist(), z=z.tolist(), **image_field(image, output))
                for start, z, image in pairs
            ],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class DirectionTraversal(Result):
    """Images along some directions, ordered by direction and then by value."""

    start: Floats
    """The latent that is moved; (latent,)."""
    directions: tuple[str, ...]
    values: Floats
    z: Floats
    """The latent of each image; (directions * steps, latent)."""

    def grid(self) -> Grid:
        """Return one row for each direction."""
        return Grid(self.images, len(self.values))

    def files(self) -> ImageFiles:
        """Return each image with its direction and value."""
        steps = len(self.values)
        entries = []
        for i, z in enumerate(self.z):
            row, step = divmod(i, steps)
            fields = {"direction": self.directions[row], "value": self.values[step]}
            parameters = latent_parameters(self.model, z)
            entries.append(FileEntry(f"{row:03d}-{step:03d}.png", fields, z, parameters))
        return ImageFiles(self.images, entries)

    def arrays(self) -> Arrays:
        """Return the images (directions, steps, ...), and what was varied."""
        numbers = {
            "start": self.start,
            "z": self._latents(),
            "directions": np.array(self.directions),
            "values": self.values,
        }
        return Arrays({"images": self._pictures()}, numbers)

    def document(self, output: OutputOptions) -> Traversed:
        """Return the images of each direction with their latents and values."""
        rows = zip(self.directions, self._latents(), self._pictures(), strict=True)
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
        )

    def _pictures(self) -> Bytes:
        return self.images.reshape(len(self.directions), len(self.values), *self.images.shape[1:])

    def _latents(self) -> Floats:
        return self.z.reshape(len(self.directions), len(self.values), -1)
