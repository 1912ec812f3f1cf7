"""/generate: samples of the prior, decoded."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api import answers
from app.api.decode_stream import Floats, Samples, check_number
from app.api.decode_stream import answer as samples_answer
from app.api.dependencies import Services, ServicesDep, no_body
from app.api.openapi import images
from app.api.query_route import QueryRoute
from app.api.schemas import Generated, GenerateQuery, at_most
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.sampling import latents
from model_store.spec import ModelRef

router = APIRouter(tags=["images"], route_class=QueryRoute)

_DESCRIPTION = (
    "Draws z ~ N(0, I) and decodes it. The same seed and model give the same bytes, and image i "
    "of a request is what `n=1` gives with `seed + i`. With a label, z is drawn from the Gaussian "
    "mixture of that class, and anew where another class might be meant."
)


@router.post(
    "/generate",
    summary="Generate images, by POST",
    description=_DESCRIPTION + " The parameters are in the query here too.",
    operation_id="generate_by_post",
    response_model=Generated,
    responses=images(
        "The images as a grid, left to right and top to bottom.", GenerateQuery.FORMATS, seed=True
    ),
)
@router.get(
    "/generate",
    summary="Generate images",
    description=_DESCRIPTION,
    operation_id="generate",
    response_model=Generated,
    responses=images(
        "The images as a grid, left to right and top to bottom.", GenerateQuery.FORMATS, seed=True
    ),
)
async def generate(
    request: Request, services: ServicesDep, query: Annotated[GenerateQuery, InQuery()]
) -> Response:
    """n samples of the prior, or of a class."""
    await no_body(request)
    form = answers.choose_form(request, query)
    _check(query, form, services)
    model = await services.catalog.get(query.model)
    label = None if query.label is None else _label(query.label, model)
    seed = latents.random_seed() if query.seed is None else query.seed
    columns = query.columns or answers.square(query.n)

    def facts(seed: int, n: int, columns: int) -> dict[str, object]:
        return answers.parameters(
            "/generate",
            model,
            n=n,
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            label=None if label is None else model.classes[label],
            columns=columns,
        )

    wanted = facts(seed, query.n, columns)
    caching: dict[str, str] = {}
    if request.method == "GET":
        tag = None if query.seed is None else answers.etag(model, form, wanted)
        caching = answers.caching(tag, pinned=_is_pinned(query.model))
        if tag is not None and answers.is_known(request, tag):
            return Response(status_code=304, headers=answers.headers(model, seed) | caching)
    seeds = latents.consecutive_seeds(seed, query.n)

    async def z(start: int, stop: int) -> Floats:
        some = seeds[start:stop]
        if label is None:
            return latents.standard_normal(some, model.latent) * np.float32(query.temperature)
        drawn = latents.of_class(model.class_latents, label, some, query.temperature)
        return (
            await services.engine.to_u(model, drawn) if model.class_latents.before_flow else drawn
        )

    samples = Samples(
        model, query.n, z, wanted, lambda i: facts(int(seeds[i]), 1, 1), seeds=seeds.tolist()
    )
    answer = await samples_answer(
        samples,
        form,
        columns,
        services,
        lambda images: Generated(
            **answers.provenance(model),
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            label=None if label is None else model.classes[label],
            images=images,
        ),
    )
    answer.headers.update(caching)
    return answer


def _check(query: GenerateQuery, form: answers.Form, services: Services) -> None:
    settings = services.settings
    check_number("n", query.n, form, services)
    at_most("columns", query.columns or 1, settings.max_images, "ZSERVE_MAX_IMAGES")
    at_most("temperature", query.temperature, settings.max_temperature, "ZSERVE_MAX_TEMPERATURE")


def _is_pinned(reference: str | None) -> bool:
    """Whether a reference means the same weights forever: a version, and no alias."""
    return reference is not None and ModelRef.parse(reference).version is not None


def _label(text: str, model: LoadedModel) -> int:
    """The class that a name, whatever its case, or a place from 0 on means."""
    classes = model.classes
    if not model.class_latents:
        raise ParameterError(
            f"{model.ref} was published without statistics of its classes, "
            f"so it cannot draw label {text[:80]!r}",
            remedy="leave label out, or train a version that records its classes",
        )
    wanted = text.strip().casefold()
    for label, name in enumerate(classes):
        if wanted == name.casefold():
            return label
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and int(wanted) < len(classes):
        return int(wanted)
    raise ParameterError(
        f"{model.ref} has no class {text[:80]!r}; it has: {', '.join(classes)}",
        remedy=f"send the name of a class, or its place from 0 to {len(classes) - 1}",
    )
