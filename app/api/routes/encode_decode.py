"""/encode, /decode, /augment: latents as input and output, and variants of an upload."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api import answers, decode_stream
from app.api.decode_stream import Floats, Samples, check_number
from app.api.dependencies import ServicesDep
from app.api.openapi import form_or_image, images, json_body
from app.api.query_route import QueryRoute
from app.api.request_body import missing, read_latents, read_uploads, see
from app.api.schemas import (
    Augmented,
    AugmentQuery,
    Decoded,
    DecodeQuery,
    Encoded,
    EncodeQuery,
    Encoding,
    Latents,
    at_most,
)
from app.errors import ParameterError
from app.sampling import latents

router = APIRouter(tags=["latents"], route_class=QueryRoute)


@router.post(
    "/encode",
    summary="Encode images",
    operation_id="encode",
    response_model=Encoded,
    responses=images("Where each image lies: mu, logvar and KL.", EncodeQuery.FORMATS),
    openapi_extra=form_or_image("One image, or several under the same name.", required=True),
)
async def encode(
    request: Request, services: ServicesDep, query: Annotated[EncodeQuery, InQuery()]
) -> Response:
    """Gives the posterior q(z | x) = N(mu, sigma^2) of each image; logvar is ln sigma^2."""
    form = answers.choose_form(request, query)
    model = await services.catalog.get(query.model)
    uploads = (await read_uploads(request, ["image"], services.settings)).get("image")
    if not uploads:
        raise missing(["image"])
    at_most("the number of images", len(uploads), services.settings.max_images, "ZSERVE_MAX_IMAGES")
    x = await see(uploads, model.manifest.spec, query.preprocess, services.settings)
    mu, logvar = await services.engine.encode(model, x)
    kl_nats = latents.kl_to_standard_normal(mu, logvar)
    if form.format == "npz":
        facts = answers.parameters("/encode", model, images=len(x), preprocess=query.preprocess)
        return await answers.npz(
            model,
            form,
            parameters=facts,
            images={"inputs": x},
            mu=mu,
            logvar=logvar,
            kl_nats=kl_nats,
        )
    encodings = [
        Encoding(mu=mu[i].tolist(), logvar=logvar[i].tolist(), kl_nats=float(kl_nats[i]))
        for i in range(len(x))
    ]
    return answers.json(Encoded(**answers.provenance(model), images=encodings), model)


@router.post(
    "/decode",
    summary="Decode latents",
    operation_id="decode",
    response_model=Decoded,
    responses=images("The images as a grid, in the order of z.", DecodeQuery.FORMATS),
    openapi_extra=json_body(Latents, {"z": [[0.5, -1.2, 0.0]]}),
)
async def decode(
    request: Request, services: ServicesDep, query: Annotated[DecodeQuery, InQuery()]
) -> Response:
    """Gives the mean image of p(x | z) for each row of z, as wide as the model's latent space."""
    form = answers.choose_form(request, query)
    model = await services.catalog.get(query.model)
    z = await read_latents(request, model.latent)
    check_number("the number of rows of z", len(z), form, services)
    columns = _columns(query.columns, len(z), services.settings.max_images)
    # One latent is short enough to be kept in the file; of many only the number is.
    facts = answers.parameters(
        "/decode", model, n=len(z), columns=columns, z=z.tolist() if len(z) == 1 else None
    )

    async def rows(start: int, stop: int) -> Floats:
        return z[start:stop]

    def facts_of(i: int) -> dict[str, object]:
        return answers.of_latent(model, z[i])

    decoded = Samples(model, len(z), rows, facts, facts_of)
    return await decode_stream.answer(
        decoded,
        form,
        columns,
        services,
        lambda found: Decoded(**answers.provenance(model), images=found),
    )


@router.post(
    "/augment",
    summary="Augment an image",
    operation_id="augment",
    response_model=Augmented,
    responses=images("The variants as a grid.", AugmentQuery.FORMATS, seed=True),
    openapi_extra=form_or_image("The image to vary.", required=True),
)
async def augment(
    request: Request, services: ServicesDep, query: Annotated[AugmentQuery, InQuery()]
) -> Response:
    """Draws n variants of an image: z = mu + temperature * sigma * eps, decoded.

    Variant i is made by the seed `seed + i`, whatever the others are. At temperature 0 each is
    the reconstruction; larger temperatures go further away from it.
    """
    form = answers.choose_form(request, query)
    settings = services.settings
    check_number("n", query.n, form, services)
    at_most("temperature", query.temperature, settings.max_temperature, "ZSERVE_MAX_TEMPERATURE")
    columns = _columns(query.columns, query.n, settings.max_images)
    model = await services.catalog.get(query.model)
    uploads = (await read_uploads(request, ["image"], settings)).get("image")
    if not uploads:
        raise missing(["image"])
    if len(uploads) > 1:
        raise ParameterError(
            f"{len(uploads)} images were sent, and one is varied at a time",
            limit=1,
            remedy="send each image in a request of its own",
        )
    answers.check_size(1 if form.format == "zip" else query.n, model, form, settings)
    x = await see(uploads, model.manifest.spec, query.preprocess, settings)
    mu, logvar = (rows[0] for rows in await services.engine.encode(model, x))
    seed = latents.random_seed() if query.seed is None else query.seed
    seeds = latents.consecutive_seeds(seed, query.n)

    async def z(start: int, stop: int) -> Floats:
        eps = latents.standard_normal(seeds[start:stop], model.latent)
        return latents.around(mu, logvar, eps, query.temperature)

    def facts(seed: int, n: int, columns: int) -> dict[str, object]:
        return answers.parameters(
            "/augment",
            model,
            n=n,
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            preprocess=query.preprocess,
            columns=columns,
        )

    variants = Samples(
        model,
        query.n,
        z,
        facts(seed, query.n, columns),
        lambda i: facts(int(seeds[i]), 1, 1),
        seeds=seeds.tolist(),
    )
    return await decode_stream.answer(
        variants,
        form,
        columns,
        services,
        lambda found: Augmented(
            **answers.provenance(model),
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            mu=mu.tolist(),
            logvar=logvar.tolist(),
            images=found,
        ),
    )


def _columns(asked: int | None, n: int, limit: int) -> int:
    at_most("columns", asked or 1, limit, "ZSERVE_MAX_IMAGES")
    return asked or answers.square(n)
