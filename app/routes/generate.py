"""/generate: samples of the prior, decoded."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app import answers, latents
from app.dependencies import Services, ServicesDep, each_once, no_body
from app.engine import LoadedModel
from app.errors import ParameterError
from app.openapi import images
from app.schemas import Generated, GenerateQuery, Sample, at_most

router = APIRouter(tags=["images"], dependencies=[Depends(each_once), Depends(no_body)])

_DESCRIPTION = (
    "Draws z ~ N(0, I) and decodes it. The same seed and model give the same bytes, and image i "
    "of a request is what `n=1` gives with `seed + i`. With a label, z is drawn from the Gaussian "
    "mixture of that class."
)


@router.post(
    "/generate",
    summary="Generate images, by POST",
    description=_DESCRIPTION + " The parameters are in the query here too.",
    operation_id="generate_by_post",
    response_model=Generated,
    responses=images("The images as a grid, left to right and top to bottom.", seed=True),
)
@router.get(
    "/generate",
    summary="Generate images",
    description=_DESCRIPTION,
    operation_id="generate",
    response_model=Generated,
    responses=images("The images as a grid, left to right and top to bottom.", seed=True),
)
async def generate(
    request: Request, services: ServicesDep, query: Annotated[GenerateQuery, InQuery()]
) -> Response:
    """n samples of the prior."""
    _check(query, services)
    wanted = answers.choose_format(request, query.format, ["png", "json"])
    model = await services.catalog.get(query.model)
    label = None if query.label is None else _label(query.label, model)
    seed = latents.random_seed() if query.seed is None else query.seed
    seeds = latents.consecutive_seeds(seed, query.n)
    if label is None:
        z = latents.standard_normal(seeds, model.latent) * np.float32(query.temperature)
    else:
        z = latents.of_class(model.class_latents[label], seeds, query.temperature)
    class_name = None if label is None else model.classes[label]
    pixels = await services.engine.decode(model, z)
    if wanted == "json":
        samples = [
            Sample(seed=int(s), z=row.tolist(), png=answers.base64_png(image))
            for s, row, image in zip(seeds, z, pixels, strict=True)
        ]
        answer = Generated(
            **answers.provenance(model),
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            label=class_name,
            images=samples,
        )
        return answers.json(answer, model, seed=seed)
    columns = query.columns or answers.square(query.n)
    facts = answers.parameters(
        "/generate",
        model,
        n=query.n,
        seed=seed,
        generator=latents.GENERATOR,
        temperature=query.temperature,
        label=class_name,
        columns=columns,
    )
    return answers.png(
        pixels, columns, model, parameters=facts if query.metadata else None, seed=seed
    )


def _check(query: GenerateQuery, services: Services) -> None:
    settings = services.settings
    at_most("n", query.n, settings.max_images, "ZSERVE_MAX_IMAGES")
    at_most("columns", query.columns or 1, settings.max_images, "ZSERVE_MAX_IMAGES")
    at_most("temperature", query.temperature, settings.max_temperature, "ZSERVE_MAX_TEMPERATURE")


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
