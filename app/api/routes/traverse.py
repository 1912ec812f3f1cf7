"""/traverse: vary single latent dimensions and decode."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.dependencies import Services, ServicesDep
from app.api.direction_traversal import traverse_directions
from app.api.encode_uploads import encode_uploads
from app.api.limits import at_most, check_answer_pixels
from app.api.negotiation import choose_output
from app.api.openapi import images, latents_or_images_body
from app.api.provenance import provenance, request_parameters
from app.api.queries import TraverseQuery, parse_dimensions
from app.api.query_route import QueryRoute
from app.api.render import image_to_json, render
from app.api.request_body import Uploads, read_uploads
from app.api.responses_schema import Traversed, TraversedDimension, Unusual
from app.api.result import Arrays, OutputOptions
from app.api.strips import Strips
from app.api.unusual import decode_and_warn, unusual_headers
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.off_loop import LARGE_NUMBERS, call
from app.sampling.latents import GENERATOR, consecutive_seeds, standard_normal
from app.sampling.paths import traversal, traversal_values
from app.typing import Bytes, Floats
from model_store.preprocessing import to_bytes

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/traverse",
    summary="Traverse latent dimensions",
    operation_id="traverse",
    response_model=Traversed,
    responses=images(
        "One row for each dimension, from -span to +span.",
        TraverseQuery.FORMATS,
        seed=True,
        uploads=True,
    ),
    openapi_extra=latents_or_images_body(
        "Image to start from; z = 0 if absent. With direction, z may be sent as JSON.",
        required=False,
    ),
)
async def traverse(
    request: Request, services: ServicesDep, query: Annotated[TraverseQuery, InQuery()]
) -> Response:
    """Set one latent dimension at a time to values from -span to +span, and decode.

    The other dimensions keep the values of an image's or a seed's latent, or else 0. The dimensions
    with the largest KL over the test split, the most informative ones, come first. With `direction`,
    each row moves the latent along a direction with a meaning instead.
    """
    settings = services.settings
    at_most("span", query.span, settings.max_span, "ZSERVE_MAX_SPAN")
    at_most("steps", query.steps, settings.max_images, "ZSERVE_MAX_IMAGES")
    output = choose_output(request, query)
    if query.direction is not None:
        if query.dims is not None:
            raise ParameterError(
                "both dims and direction were sent", remedy="send dims, or direction, or neither"
            )
        return await traverse_directions(request, services, query, output)
    model = await services.model_cache.get(query.model)
    dims = _dimensions(query, model, settings.max_images)
    check_answer_pixels(len(dims) * query.steps, model, output, settings)
    uploads = await read_uploads(request, ["image"], settings)
    start = await _start(uploads, query, model, services)
    values = traversal_values(query.span, query.steps)
    off_loop = len(dims) * len(values) * model.latent >= LARGE_NUMBERS
    z = await call(lambda: traversal(start.z, dims, values), off_loop=off_loop)
    upload = None if start.upload is None else start.upload[None]
    images, (unusual,) = await decode_and_warn(model, services.engine, z, upload, start.z[None])
    result = Traversal(
        model=model,
        parameters=request_parameters(
            "/traverse",
            model,
            seed=query.seed,
            generator=None if query.seed is None else GENERATOR,
            dims=dims,
            steps=query.steps,
            span=query.span,
            preprocess=query.preprocess if uploads else None,
            z=start.z.tolist() if uploads else None,
        ),
        seed=query.seed,
        images=images,
        start=start.z,
        unusual=unusual,
        dims=dims,
        values=values,
        z=z,
    )
    response = await render(result, output)
    response.headers.update(unusual_headers([unusual]))
    return response


class Start(NamedTuple):
    """The latent to vary."""

    z: Floats
    """(latent,)."""
    upload: Bytes | None = None
    """The upload as the model sees it, (channels, height, width) in 0..255; None without one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Traversal(Strips):
    """Images along some latent dimensions, ordered by dimension and then by value."""

    dims: tuple[int, ...]
    unusual: Unusual | None
    """A warning if an upload is not like the images that the model learnt."""

    def entry(self, row: int, value: np.float32) -> dict[str, object]:
        """Return the dimension of an image, its value, and the KL of the dimension."""
        dim = self.dims[row]
        return {"dim": dim, "value": value, "kl_nats": self._kl_nats(dim)}

    def arrays(self) -> Arrays:
        """Return the images (dims, steps, ...), and what was varied."""
        return Arrays(
            {"images": self.rows()}, {"z": self.start, "dims": self.dims, "values": self.values}
        )

    def document(self, output: OutputOptions) -> Traversed:
        """Return the images of each dimension with its KL and values."""
        return Traversed(
            **provenance(self.model),
            generator=None if self.seed is None else GENERATOR,
            seed=self.seed,
            z=self.start.tolist(),
            dimensions=[
                TraversedDimension(
                    dim=dim,
                    kl_nats=self._kl_nats(dim),
                    values=self.values.tolist(),
                    images=[image_to_json(image, output) for image in row],
                )
                for dim, row in zip(self.dims, self.rows(), strict=True)
            ],
            unusual=self.unusual,
        )

    def _kl_nats(self, dim: int) -> float | None:
        """Return the KL of a dimension over the test split, or None if it was not measured."""
        statistics = self.model.manifest.latents
        return statistics.kl_nats[dim] if statistics else None


def _dimensions(query: TraverseQuery, model: LoadedModel, max_images: int) -> tuple[int, ...]:
    """Return the requested dimensions, or the most informative ones that fit into one answer."""
    if query.dims is None:
        return model.manifest.informative_dimensions()[: max_images // query.steps]
    dims = parse_dimensions(query.dims, model.latent)
    at_most("dims times steps", len(dims) * query.steps, max_images, "ZSERVE_MAX_IMAGES")
    return dims


async def _start(
    uploads: Uploads, query: TraverseQuery, model: LoadedModel, services: Services
) -> Start:
    """Return the latent to vary, and the upload that it comes from."""
    sent = uploads.get("image", ())
    if len(sent) + (query.seed is not None) > 1:
        raise ParameterError(
            "more than one image or seed was sent",
            remedy="send one image, or a seed, or neither to start from z = 0",
        )
    if sent:
        x, mu, _ = await encode_uploads(sent, query, model, services)
        return Start(np.asarray(mu[0], np.float32), to_bytes(x[0]))
    if query.seed is not None:
        return Start(standard_normal(consecutive_seeds(query.seed, 1), model.latent)[0])
    return Start(np.zeros(model.latent, np.float32))
