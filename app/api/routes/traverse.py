"""/traverse: what each latent dimension does."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from numpy.typing import NDArray
from starlette.responses import Response

from app.api import answers
from app.api.dependencies import Services, ServicesDep
from app.api.openapi import form_or_image, images
from app.api.query_route import QueryRoute
from app.api.request_body import Uploads, read_uploads, see
from app.api.schemas import Traversed, TraversedDimension, TraverseQuery, at_most, parse_dimensions
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.sampling import latents

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/traverse",
    summary="Traverse latent dimensions",
    operation_id="traverse",
    response_model=Traversed,
    responses=images(
        "One row for each dimension, from -span to +span.", TraverseQuery.FORMATS, seed=True
    ),
    openapi_extra=form_or_image("Where to start; around 0 if absent.", required=False),
)
async def traverse(
    request: Request, services: ServicesDep, query: Annotated[TraverseQuery, InQuery()]
) -> Response:
    """Sets one dimension after the other to values from -span to +span, and decodes.

    Around the latent of an image or of a seed, else around 0. The most informative dimensions
    come first: those with the largest KL over the test split.
    """
    settings = services.settings
    at_most("span", query.span, settings.max_span, "ZSERVE_MAX_SPAN")
    at_most("steps", query.steps, settings.max_images, "ZSERVE_MAX_IMAGES")
    form = answers.choose_form(request, query)
    model = await services.catalog.get(query.model)
    dims = _dimensions(query, model, settings.max_images)
    answers.check_size(len(dims) * query.steps, model, form, settings)
    uploads = await read_uploads(request, ["image"], settings)
    z = await _start(uploads, query, model, services)
    values = latents.traversal_values(query.span, query.steps)
    grid = latents.traversal(z, dims, values)
    pixels = await services.engine.decode(model, grid)
    generator = None if query.seed is None else latents.GENERATOR
    facts = answers.parameters(
        "/traverse",
        model,
        seed=query.seed,
        generator=generator,
        dims=dims,
        steps=query.steps,
        span=query.span,
        preprocess=query.preprocess if uploads else None,
        z=z.tolist() if uploads else None,
    )
    if form.format == "png":
        return await answers.png(
            pixels, query.steps, model, form, parameters=facts, seed=query.seed
        )
    statistics = model.manifest.latents
    kl_nats = [statistics.kl_nats[dim] if statistics else None for dim in dims]
    if form.format == "zip":
        pictures = [
            answers.Picture(
                f"{row:03d}-{step:03d}.png",
                pixels[row * query.steps + step],
                {"dim": dim, "value": values[step], "kl_nats": kl_nats[row]},
                z=grid[row * query.steps + step],
            )
            for row, dim in enumerate(dims)
            for step in range(query.steps)
        ]
        return await answers.archive(pictures, model, form, parameters=facts, seed=query.seed)
    rows = pixels.reshape(len(dims), query.steps, *pixels.shape[1:])
    if form.format == "npz":
        return await answers.npz(
            model,
            form,
            parameters=facts,
            seed=query.seed,
            images={"images": rows},
            z=z,
            dims=dims,
            values=values,
        )
    answer = Traversed(
        **answers.provenance(model),
        generator=generator,
        seed=query.seed,
        z=z.tolist(),
        dimensions=[
            TraversedDimension(
                dim=dim,
                kl_nats=kl,
                values=values.tolist(),
                images=[answers.shown(image, form) for image in row],
            )
            for dim, kl, row in zip(dims, kl_nats, rows, strict=True)
        ],
    )
    return answers.json(answer, model, seed=query.seed)


def _dimensions(query: TraverseQuery, model: LoadedModel, max_images: int) -> tuple[int, ...]:
    """Those asked for, else as many of the most informative as fit into one answer."""
    if query.dims is None:
        return model.manifest.informative_dimensions()[: max_images // query.steps]
    dims = parse_dimensions(query.dims, model.latent)
    at_most("dims times steps", len(dims) * query.steps, max_images, "ZSERVE_MAX_IMAGES")
    return dims


async def _start(
    uploads: Uploads, query: TraverseQuery, model: LoadedModel, services: Services
) -> NDArray[np.float32]:
    """The latent to traverse from; (latent,)."""
    sent = uploads.get("image", ())
    if len(sent) + (query.seed is not None) > 1:
        raise ParameterError(
            "more than one place to start was given",
            remedy="send one image, or seed, or neither to start from 0",
        )
    if sent:
        x = await see(sent, model.manifest.spec, query.preprocess, services.settings)
        mu, _ = await services.engine.encode(model, x)
        return np.asarray(mu[0], np.float32)
    if query.seed is not None:
        seeds = latents.consecutive_seeds(query.seed, 1)
        z: NDArray[np.float32] = latents.standard_normal(seeds, model.latent)[0]
        return z
    return np.zeros(model.latent, np.float32)
