"""/interpolate: the way from one image to another."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from numpy.typing import NDArray
from starlette.responses import Response

from app.api import answers
from app.api.dependencies import Services, ServicesDep
from app.api.openapi import form, images
from app.api.query_route import QueryRoute
from app.api.request_body import Upload, Uploads, read_uploads, see
from app.api.schemas import Frame, Interpolated, InterpolateQuery, at_most
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.sampling import latents

router = APIRouter(tags=["images"], route_class=QueryRoute)

Floats = NDArray[np.float32]


@router.post(
    "/interpolate",
    summary="Interpolate between two images",
    operation_id="interpolate",
    response_model=Interpolated,
    responses=images(
        "One row: A, the frames from reconstruction to reconstruction, B.", InterpolateQuery.FORMATS
    ),
    openapi_extra=form({"a": "Where to start.", "b": "Where to end."}),
)
async def interpolate(
    request: Request, services: ServicesDep, query: Annotated[InterpolateQuery, InQuery()]
) -> Response:
    """Goes from A to B through the latent space.

    Each end is an image (`a`, `b`, multipart) or a seed (`seed_a`, `seed_b`); the two may be
    mixed. The first and the last frame are the reconstructions of A and B. A GIF or an APNG shows
    the frames one after the other, without the originals; a grey GIF and every APNG are exact.
    """
    limit = services.settings.max_images - 2
    at_most("steps", query.steps, limit, "ZSERVE_MAX_IMAGES")
    form = answers.choose_form(request, query)
    model = await services.catalog.get(query.model)
    answers.check_size(query.steps + 2, model, form, services.settings)
    uploads = await read_uploads(request, ["a", "b"], services.settings)
    given = [_one_of("a", uploads, query.seed_a), _one_of("b", uploads, query.seed_b)]
    (seen_a, z_a), (seen_b, z_b) = await _ends(given, model, query, services)
    walk = latents.slerp if query.path == "slerp" else latents.lerp
    z = walk(z_a, z_b, query.steps)
    frames = await services.engine.decode(model, z)
    a = frames[0] if seen_a is None else seen_a
    b = frames[-1] if seen_b is None else seen_b
    seeds = {"seed_a": query.seed_a, "seed_b": query.seed_b}
    seeded = query.seed_a is not None or query.seed_b is not None
    generator = latents.GENERATOR if seeded else None
    facts = answers.parameters(
        "/interpolate",
        model,
        **seeds,
        generator=generator,
        steps=query.steps,
        path=query.path,
        preprocess=query.preprocess,
    )
    if form.format == "png":
        row = np.stack([a, *frames, b])
        return await answers.png(row, len(row), model, form, parameters=facts)
    t = np.linspace(0, 1, query.steps)
    if form.format == "zip":
        ends = [
            answers.Picture("a.png", a, {"t": None}, z=z[0] if seen_a is None else None),
            answers.Picture("b.png", b, {"t": None}, z=z[-1] if seen_b is None else None),
        ]
        walked = [
            answers.Picture(f"{i:06d}.png", frames[i], {"t": t[i]}, z=z[i])
            for i in range(query.steps)
        ]
        return await answers.archive([*walked, *ends], model, form, parameters=facts)
    if form.format == "npz":
        shown = {"images": frames, "ends": np.stack([a, b])}
        return await answers.npz(model, form, parameters=facts, images=shown, z=z, t=t)
    if form.format != "json":
        return await answers.moving(
            frames,
            model,
            form,
            frame_ms=query.frame_ms,
            loop=query.loop,
            bounce=query.bounce,
            parameters=facts,
        )
    answer = Interpolated(
        **answers.provenance(model),
        **seeds,
        generator=generator,
        path=query.path,
        a=answers.shown(a, form),
        b=answers.shown(b, form),
        frames=[
            Frame(t=i / (query.steps - 1), z=z[i].tolist(), **answers.named(frames[i], form))
            for i in range(query.steps)
        ],
    )
    return answers.json(answer, model)


def _one_of(end: str, uploads: Uploads, seed: int | None) -> Upload | int:
    """The image or the seed of one end; raises ParameterError unless there is exactly one."""
    sent = uploads.get(end, ())
    if len(sent) + (seed is not None) == 1:
        return sent[0] if seed is None else seed
    found = "nothing" if not sent and seed is None else "more than one thing"
    raise ParameterError(
        f"{found} was given for {end}",
        remedy=f"send either one image in the form field {end}, or seed_{end} in the query",
    )


async def _ends(
    given: Sequence[Upload | int],
    model: LoadedModel,
    query: InterpolateQuery,
    services: Services,
) -> list[tuple[Floats | None, Floats]]:
    """Of each end what the model saw, where it is an image, and its latent."""
    sent = [end for end in given if isinstance(end, Upload)]
    seen: list[tuple[Floats, Floats]] = []
    if sent:
        x = await see(sent, model.manifest.spec, query.preprocess, services.settings)
        mu, _ = await services.engine.encode(model, x)
        seen = list(zip(x, mu, strict=True))
    ends: list[tuple[Floats | None, Floats]] = []
    for end in given:
        if isinstance(end, Upload):
            ends.append(seen.pop(0))
        else:
            seeds = latents.consecutive_seeds(end, 1)
            ends.append((None, latents.standard_normal(seeds, model.latent)[0]))
    return ends
