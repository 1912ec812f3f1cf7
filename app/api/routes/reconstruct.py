"""/reconstruct: encode images and decode the means of their posteriors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.dependencies import ServicesDep
from app.api.encode_uploads import encode_uploads
from app.api.limits import check_answer_pixels
from app.api.negotiation import choose_output
from app.api.openapi import form_or_image_body, images
from app.api.provenance import latent_parameters, provenance, request_parameters
from app.api.queries import ReconstructQuery
from app.api.query_route import QueryRoute
from app.api.render import FORMATS, image_to_json, render
from app.api.request_body import read_images
from app.api.responses_schema import Reconstructed, Reconstruction, Unusual
from app.api.result import Arrays, FileEntry, Grid, ImageFiles, OutputOptions, Result
from app.api.unusual import unusual_headers, unusual_uploads
from app.sampling.posterior import kl_to_standard_normal
from app.typing import Bytes, Floats
from model_store.preprocessing import to_bytes

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/reconstruct",
    summary="Reconstruct images",
    operation_id="reconstruct",
    response_model=Reconstructed,
    responses=images(
        "Two rows: the uploads as the model sees them, and their reconstructions.",
        ReconstructQuery.FORMATS,
        uploads=True,
    ),
    openapi_extra=form_or_image_body("One image, or several under the same name.", required=True),
)
async def reconstruct(
    request: Request, services: ServicesDep, query: Annotated[ReconstructQuery, InQuery()]
) -> Response:
    """Encode each image and decode the mean of its posterior.

    Uploads are first converted to the form of the model's training images: any size up to the
    limit, colour or grey, dark on light or light on dark. An upload that is not like the data of the
    model is answered too, with a warning in the JSON and in the header `X-Unusual`.
    """
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    uploads = await read_images(request, services.settings)
    check_answer_pixels(2 * len(uploads), model, output, services.settings)
    x, mu, logvar = await encode_uploads(uploads, query, model, services)
    reconstructions = await services.engine.decode_levels(model, mu)
    bce_nats = None
    if FORMATS[output.format].has_numbers:
        bce_nats = -await services.engine.log_likelihood(model, x, mu)
    levels = to_bytes(x)
    result = Reconstructions(
        model=model,
        parameters=request_parameters(
            "/reconstruct", model, images=len(x), preprocess=query.preprocess
        ),
        images=reconstructions,
        x=levels,
        mu=mu,
        logvar=logvar,
        bce_nats=bce_nats,
        unusual=await unusual_uploads(model, levels, reconstructions, mu),
    )
    response = await render(result, output)
    response.headers.update(unusual_headers(result.unusual))
    return response


@dataclass(frozen=True, kw_only=True, eq=False)
class Reconstructions(Result):
    """Uploads and their reconstructions (`images`)."""

    x: Bytes
    """The uploads as the model sees them, in 0..255."""
    mu: Floats
    logvar: Floats
    bce_nats: Floats | None
    """-ln p(x | z = mu) of each upload; None for formats without numbers."""
    unusual: Sequence[Unusual | None]
    """For each upload a warning if it is not like the images that the model learnt."""

    def grid(self) -> Grid:
        """Return uploads and reconstructions as two rows."""
        return Grid(np.concatenate([self.x, self.images]), len(self.x))

    def files(self) -> ImageFiles:
        """Return each upload followed by its reconstruction."""
        bce_nats, kl_nats = self._nats()
        entries = []
        for i, mu in enumerate(self.mu):
            fields = {"image": i, "bce_nats": bce_nats[i], "kl_nats": kl_nats[i]}
            parameters = latent_parameters(self.model, mu)
            entries += [
                FileEntry(f"{i:06d}-input.png", fields),
                FileEntry(f"{i:06d}-reconstruction.png", fields, mu, parameters),
            ]
        pairs = np.stack([self.x, self.images], axis=1)
        return ImageFiles(pairs.reshape(-1, *self.x.shape[1:]), entries)

    def arrays(self) -> Arrays:
        """Return uploads, reconstructions, posteriors and nats."""
        bce_nats, kl_nats = self._nats()
        return Arrays(
            {"inputs": self.x, "reconstructions": self.images},
            {"mu": self.mu, "logvar": self.logvar, "bce_nats": bce_nats, "kl_nats": kl_nats},
        )

    def document(self, output: OutputOptions) -> Reconstructed:
        """Return each upload with its posterior, nats and reconstruction."""
        bce_nats, kl_nats = self._nats()
        reconstructions = [
            Reconstruction(
                mu=self.mu[i].tolist(),
                logvar=self.logvar[i].tolist(),
                bce_nats=float(bce_nats[i]),
                kl_nats=float(kl_nats[i]),
                input=image_to_json(self.x[i], output),
                reconstruction=image_to_json(self.images[i], output),
                unusual=self.unusual[i],
            )
            for i in range(len(self.x))
        ]
        return Reconstructed(**provenance(self.model), images=reconstructions)

    def _nats(self) -> tuple[Floats, Floats]:
        """Return -ln p(x | z = mu) and KL(q(z | x) || N(0, I)) of each upload."""
        assert self.bce_nats is not None  # noqa: S101 - formats with numbers always have it
        return self.bce_nats, kl_to_standard_normal(self.mu, self.logvar)
