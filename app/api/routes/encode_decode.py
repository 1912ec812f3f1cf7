"""/encode, /decode, /augment: latents as output and input, and variants of an upload."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.decode_stream import (
    DecodeTask,
    check_decoded_pixels,
    check_image_count,
    decode_and_render,
)
from app.api.dependencies import ServicesDep
from app.api.encode_uploads import encode_before_flow, encode_uploads
from app.api.latents_body import read_latents
from app.api.limits import at_most
from app.api.negotiation import choose_output
from app.api.openapi import form_or_image_body, images, json_body
from app.api.provenance import latent_parameters, provenance, request_parameters
from app.api.queries import AugmentQuery, DecodeQuery, EncodeQuery, Latents
from app.api.query_route import QueryRoute
from app.api.render import render
from app.api.request_body import read_images
from app.api.responses_schema import Augmented, Decoded, Encoded, Encoding, Sample, Unusual
from app.api.result import Arrays, OutputOptions, Result, square_columns
from app.api.unusual import can_warn, unusual_headers, warn_of_uploads
from app.errors import ParameterError
from app.inference.engine import Engine
from app.inference.loaded_model import LoadedModel
from app.operations import draw_variants
from app.sampling import latents
from app.sampling.posterior import kl_to_standard_normal
from app.typing import Floats
from model_store.preprocessing import to_bytes

router = APIRouter(tags=["latents"], route_class=QueryRoute)


# --- /encode -----------------------------------------------------------------------------------


@router.post(
    "/encode",
    summary="Encode images",
    operation_id="encode",
    response_model=Encoded,
    responses=images(
        "The posterior of each image: mu, logvar and KL.", EncodeQuery.FORMATS, uploads=True
    ),
    openapi_extra=form_or_image_body("One image, or several under the same name.", required=True),
)
async def encode(
    request: Request, services: ServicesDep, query: Annotated[EncodeQuery, InQuery()]
) -> Response:
    """Return the posterior q(z | x) = N(mu, sigma^2) of each image; logvar is ln sigma^2.

    An upload that is not like the data of the model is answered with a warning, as by `/reconstruct`.
    """
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    uploads = await read_images(request, services.settings)
    x, mu, logvar = await encode_uploads(uploads, query, model, services)
    parameters = request_parameters("/encode", model, images=len(x), preprocess=query.preprocess)
    levels = to_bytes(x)
    unusual = await warn_of_uploads(model, services.engine, levels, mu)
    result = Encodings(
        model=model, parameters=parameters, images=levels, mu=mu, logvar=logvar, unusual=unusual
    )
    response = await render(result, output)
    response.headers.update(unusual_headers(unusual))
    return response


@dataclass(frozen=True, kw_only=True, eq=False)
class Encodings(Result):
    """The posteriors of uploads (`images`)."""

    mu: Floats
    logvar: Floats
    unusual: Sequence[Unusual | None]
    """For each upload a warning if it is not like the images that the model learnt."""

    def arrays(self) -> Arrays:
        """Return the uploads as the model sees them, and their posteriors."""
        kl_nats = kl_to_standard_normal(self.mu, self.logvar)
        return Arrays(
            {"inputs": self.images}, {"mu": self.mu, "logvar": self.logvar, "kl_nats": kl_nats}
        )

    def document(self, output: OutputOptions) -> Encoded:  # noqa: ARG002 - it shows no image
        """Return the posterior of each upload."""
        kl_nats = kl_to_standard_normal(self.mu, self.logvar)
        encodings = [
            Encoding(mu=mu.tolist(), logvar=logvar.tolist(), kl_nats=float(kl), unusual=unusual)
            for mu, logvar, kl, unusual in zip(
                self.mu, self.logvar, kl_nats, self.unusual, strict=True
            )
        ]
        return Encoded(**provenance(self.model), images=encodings)


# --- /decode -----------------------------------------------------------------------------------


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
    """Return the mean image of p(x | z) for each row of z."""
    settings = services.settings
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    z = await read_latents(request, model.latent, max_rows=settings.max_streamed_images)
    check_image_count("the number of rows of z", len(z), output, settings)
    columns = _columns(query.columns, len(z), settings.max_images)

    async def rows(start: int, stop: int) -> Floats:
        return z[start:stop]

    # A single latent is short enough to be stored in the file; of several only the number is.
    stored_z = z.tolist() if len(z) == 1 else None
    task = DecodeTask(
        model=model,
        n=len(z),
        columns=columns,
        latents=rows,
        parameters=request_parameters("/decode", model, n=len(z), columns=columns, z=stored_z),
        image_parameters=lambda i: latent_parameters(model, z[i]),
        document=lambda samples: Decoded(**provenance(model), images=samples),
    )
    return await decode_and_render(task, output, services)


# --- /augment ----------------------------------------------------------------------------------


@router.post(
    "/augment",
    summary="Augment an image",
    operation_id="augment",
    response_model=Augmented,
    responses=images("The variants as a grid.", AugmentQuery.FORMATS, seed=True, uploads=True),
    openapi_extra=form_or_image_body("The image to vary.", required=True),
)
async def augment(
    request: Request, services: ServicesDep, query: Annotated[AugmentQuery, InQuery()]
) -> Response:
    """Draw n variants of an image: z = mu + temperature * sigma * eps, decoded.

    Variant i depends on the seed `seed + i` only, not on the other variants. At temperature 0 every
    variant is the reconstruction; higher temperatures give variants that differ more from it. If the
    model has a flow, mu and logvar are those of the encoder, before the flow, and the z of each
    variant is mapped by it, so that /decode takes it. An upload that is not like the data of the model
    is answered with a warning, as by `/reconstruct`.
    """
    output = choose_output(request, query)
    settings = services.settings
    check_image_count("n", query.n, output, settings)
    at_most("temperature", query.temperature, settings.max_temperature, "ZSERVE_MAX_TEMPERATURE")
    columns = _columns(query.columns, query.n, settings.max_images)
    model = await services.model_cache.get(query.model)
    uploads = await read_images(request, settings)
    if len(uploads) > 1:
        raise ParameterError(
            f"{len(uploads)} images were sent, but this endpoint takes one",
            limit=1,
            remedy="send each image in a request of its own",
        )
    check_decoded_pixels(query.n, model, output, settings)
    x, mu, logvar = await encode_before_flow(uploads, query, model, services)
    unusual = None
    if can_warn(model):
        u = await services.engine.to_u(model, mu)
        (unusual,) = await warn_of_uploads(model, services.engine, to_bytes(x), u)
    task = _augment_task(
        query, model, columns, services.engine, (mu[0], logvar[0]), unusual=unusual
    )
    response = await decode_and_render(task, output, services)
    response.headers.update(unusual_headers([unusual]))
    return response


def _augment_task(
    query: AugmentQuery,
    model: LoadedModel,
    columns: int,
    engine: Engine,
    posterior: tuple[Floats, Floats],
    *,
    unusual: Unusual | None,
) -> DecodeTask:
    """Return the task of decoding n samples of a posterior: mu, logvar (latent,), before a flow."""
    mu, logvar = posterior
    seed = latents.random_seed() if query.seed is None else query.seed
    seeds = latents.consecutive_seeds(seed, query.n)

    async def draw(start: int, stop: int) -> Floats:
        return await draw_variants(
            engine, model, mu, logvar, seeds=seeds[start:stop], temperature=query.temperature
        )

    def parameters(seed: int, n: int, columns: int) -> dict[str, object]:
        return request_parameters(
            "/augment",
            model,
            n=n,
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            preprocess=query.preprocess,
            columns=columns,
        )

    def document(samples: list[Sample]) -> Augmented:
        return Augmented(
            **provenance(model),
            seed=seed,
            generator=latents.GENERATOR,
            temperature=query.temperature,
            mu=mu.tolist(),
            logvar=logvar.tolist(),
            images=samples,
            unusual=unusual,
        )

    return DecodeTask(
        model=model,
        n=query.n,
        columns=columns,
        latents=draw,
        parameters=parameters(seed, query.n, columns),
        image_parameters=lambda i: parameters(int(seeds[i]), 1, 1),
        document=document,
        seeds=seeds.tolist(),
    )


def _columns(requested: int | None, n: int, limit: int) -> int:
    """Return the requested number of columns, or that of the squarest grid."""
    at_most("columns", requested or 1, limit, "ZSERVE_MAX_IMAGES")
    return requested or square_columns(n)
