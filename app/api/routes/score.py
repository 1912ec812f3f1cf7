"""/score: how likely and how typical uploads are of a model's data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from numpy.typing import NDArray
from starlette.responses import Response

from app.api.dependencies import ServicesDep
from app.api.encode_uploads import encode_uploads
from app.api.limits import at_most
from app.api.negotiation import choose_output
from app.api.openapi import form_or_image_body, images
from app.api.provenance import provenance, request_parameters
from app.api.queries import ScoreQuery
from app.api.query_route import QueryRoute
from app.api.render import render
from app.api.request_body import read_images
from app.api.responses_schema import Score, Scored
from app.api.result import Arrays, OutputOptions, Result
from app.api.unusual import typicality_scores
from app.operations import estimate_evidence
from app.sampling.latents import GENERATOR, random_seed
from model_store.arithmetic.importance import Evidence
from model_store.preprocessing import to_bytes
from model_store.typicality import quantile

router = APIRouter(tags=["images"], route_class=QueryRoute)

_PLACES = 4
"""Decimals of scores and quantiles in JSON."""
_BY_TABLE = ("elbo_quantile", "nll_quantile", "score", "quantile", "verdict")
"""Fields of a score that need a typicality table."""


@router.post(
    "/score",
    summary="Score images",
    operation_id="score",
    response_model=Scored,
    responses=images(
        "ELBO, likelihood and typicality of each image.", ScoreQuery.FORMATS, seed=True
    ),
    openapi_extra=form_or_image_body("One image, or several under the same name.", required=True),
)
async def score(
    request: Request, services: ServicesDep, query: Annotated[ScoreQuery, InQuery()]
) -> Response:
    """Estimate the likelihood of each image, and say how typical it is of the model's data.

    A likelihood does not tell whether an image is like the data: simple images of another kind may
    have a higher one. The verdict is therefore by a score of the reconstruction's error, the norm of the
    latent, the complexity and the brightness. Image i has the seed `seed + i`; the same seed gives
    the same numbers.
    """
    output = choose_output(request, query)
    settings = services.settings
    model = await services.model_cache.get(query.model)
    uploads = await read_images(request, settings)
    at_most(
        "the number of images times draws",
        len(uploads) * query.draws,
        settings.max_score_draws,
        "ZSERVE_MAX_SCORE_DRAWS",
    )
    x, mu, _ = await encode_uploads(uploads, query, model, services)
    levels = to_bytes(x)
    scores = None
    if model.typicality is not None:
        reconstructions = await services.engine.decode_levels(model, mu)
        scores = await typicality_scores(model.typicality, levels, reconstructions, mu)
    seed = random_seed() if query.seed is None else query.seed
    result = Scores(
        model=model,
        parameters=request_parameters(
            "/score",
            model,
            images=len(x),
            seed=seed,
            generator=GENERATOR,
            draws=query.draws,
            preprocess=query.preprocess,
        ),
        seed=seed,
        images=levels,
        draws=query.draws,
        estimates=await estimate_evidence(services.engine, model, x, query.draws, seed),
        scores=scores,
    )
    return await render(result, output)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores(Result):
    """How likely and how typical uploads (`images`) are."""

    seed: int
    draws: int
    estimates: Evidence
    scores: NDArray[np.float64] | None
    """Typicality score of each upload; None for versions without a table."""

    def arrays(self) -> Arrays:
        """Return the uploads as the model sees them, and their numbers."""
        table = self.model.typicality
        numbers: dict[str, NDArray[np.generic] | Sequence[object] | None] = {
            "elbo_nats": self.estimates.elbo,
            "reconstruction_nats": self.estimates.reconstruction,
            "kl_nats": self.estimates.kl,
            "nll_nats": self.estimates.nll,
            "effective_samples": self.estimates.effective_samples,
            "score": self.scores,
        }
        if table is not None and self.scores is not None:
            numbers["quantile"] = [quantile(each, table.scores) for each in self.scores]
            numbers["verdict"] = [table.verdict(each) for each in self.scores]
        return Arrays({"inputs": self.images}, numbers)

    def document(self, output: OutputOptions) -> Scored:  # noqa: ARG002 - it shows no image
        """Return the numbers of each upload."""
        missing = (
            f"{self.model.name} was published without typicality.json, so it has no quantiles and "
            "no verdict; publish it again with `python -m training republish`"
        )
        return Scored(
            **provenance(self.model),
            seed=self.seed,
            generator=GENERATOR,
            draws=self.draws,
            notice=missing if self.scores is None else None,
            images=[self._score(i) for i in range(len(self.images))],
        )

    def _score(self, i: int) -> Score:
        elbo, nll, reconstruction, kl, effective_samples = (
            float(column[i]) for column in self.estimates
        )
        return Score(
            elbo_nats=elbo,
            reconstruction_nats=reconstruction,
            kl_nats=kl,
            nll_nats=nll,
            bits_per_dimension=nll / (math.log(2) * self.model.manifest.spec.image.pixels),
            effective_samples=effective_samples,
            **self._typicality(i, elbo, nll),
        )

    def _typicality(self, i: int, elbo: float, nll: float) -> dict[str, Any]:
        """Return the fields that a typicality table gives; all None without one."""
        table = self.model.typicality
        if table is None or self.scores is None:
            return dict.fromkeys(_BY_TABLE)
        score = float(self.scores[i])
        values = (
            _quantile(elbo, table.elbo_nats),
            _quantile(nll, table.nll_nats),
            round(score, _PLACES),
            _quantile(score, table.scores),
            table.verdict(score),
        )
        return dict(zip(_BY_TABLE, values, strict=True))


def _quantile(value: float, table: tuple[float, ...]) -> float:
    return round(quantile(value, table), _PLACES)
