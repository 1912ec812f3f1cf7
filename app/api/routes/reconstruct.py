"""/reconstruct: what the model makes of an image."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api import answers
from app.api.dependencies import ServicesDep
from app.api.openapi import form_or_image, images
from app.api.query_route import QueryRoute
from app.api.request_body import missing, read_uploads, see
from app.api.schemas import Reconstructed, Reconstruction, ReconstructQuery, at_most
from app.sampling import latents

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/reconstruct",
    summary="Reconstruct images",
    operation_id="reconstruct",
    response_model=Reconstructed,
    responses=images(
        "Two rows: what the model saw, and its reconstructions.", ReconstructQuery.FORMATS
    ),
    openapi_extra=form_or_image("One image, or several under the same name.", required=True),
)
async def reconstruct(
    request: Request, services: ServicesDep, query: Annotated[ReconstructQuery, InQuery()]
) -> Response:
    """Encodes each image and decodes the mean of its posterior.

    Uploads are brought to the form of the model's training images first: any size up to the cap,
    colour or grey, dark on light or light on dark.
    """
    form = answers.choose_form(request, query)
    model = await services.catalog.get(query.model)
    uploads = (await read_uploads(request, ["image"], services.settings)).get("image")
    if not uploads:
        raise missing(["image"])
    at_most("the number of images", len(uploads), services.settings.max_images, "ZSERVE_MAX_IMAGES")
    answers.check_size(2 * len(uploads), model, form, services.settings)
    x = await see(uploads, model.manifest.spec, query.preprocess, services.settings)
    mu, logvar = await services.engine.encode(model, x)
    pixels = await services.engine.decode(model, mu)
    facts = answers.parameters("/reconstruct", model, images=len(x), preprocess=query.preprocess)
    if form.format == "png":
        rows = np.concatenate([x, pixels])
        return await answers.png(rows, len(x), model, form, parameters=facts)
    bce_nats = -await services.engine.log_likelihood(model, x, mu)
    kl_nats = latents.kl_to_standard_normal(mu, logvar)
    if form.format == "zip":
        pictures = []
        for i in range(len(x)):
            facts_of = {"image": i, "bce_nats": bce_nats[i], "kl_nats": kl_nats[i]}
            pictures += [
                answers.Picture(f"{i:06d}-input.png", x[i], facts_of),
                answers.Picture(f"{i:06d}-reconstruction.png", pixels[i], facts_of, z=mu[i]),
            ]
        return await answers.archive(pictures, model, form, parameters=facts)
    if form.format == "npz":
        return await answers.npz(
            model,
            form,
            parameters=facts,
            images={"inputs": x, "reconstructions": pixels},
            mu=mu,
            logvar=logvar,
            bce_nats=bce_nats,
            kl_nats=kl_nats,
        )
    answer = Reconstructed(
        **answers.provenance(model),
        images=[
            Reconstruction(
                mu=mu[i].tolist(),
                logvar=logvar[i].tolist(),
                bce_nats=float(bce_nats[i]),
                kl_nats=float(kl_nats[i]),
                input=answers.shown(x[i], form),
                reconstruction=answers.shown(pixels[i], form),
            )
            for i in range(len(x))
        ],
    )
    return answers.json(answer, model)
