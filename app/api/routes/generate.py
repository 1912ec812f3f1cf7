"""/generate: sample latents of the prior, or of a class, and decode them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.caching import cache_headers, client_has, etag
from app.api.decode_stream import DecodeTask, check_image_count, decode_and_render
from app.api.dependencies import Services, ServicesDep, refuse_body
from app.api.limits import at_most
from app.api.negotiation import choose_output
from app.api.openapi import images
from app.api.provenance import model_headers, provenance, request_parameters
from app.api.queries import GenerateQuery
from app.api.query_route import QueryRoute
from app.api.responses_schema import Generated, Sample
from app.api.result import OutputOptions, square_columns
from app.inference.loaded_model import LoadedModel
from app.operations import draw_latents, find_class
from app.sampling import latents
from app.typing import Floats
from model_store.spec import ModelRef

router = APIRouter(tags=["images"], route_class=QueryRoute)

_DESCRIPTION = (
    "Draw z ~ N(0, I) and decode it. The same seed and model give the same bytes, and image i "
    "of a request equals the image of `n=1` with `seed + i`. With a label, z is drawn from the "
    "Gaussian mixture of that class, and drawn again if it is likely to belong to another class."
)
_RESPONSES = images(
    "The images as a grid, left to right and top to bottom.", GenerateQuery.FORMATS, seed=True
)


@router.post(
    "/generate",
    summary="Generate images, by POST",
    description=_DESCRIPTION + " The parameters are in the query, as with GET.",
    operation_id="generate_by_post",
    response_model=Generated,
    responses=_RESPONSES,
)
@router.get(
    "/generate",
    summary="Generate images",
    description=_DESCRIPTION,
    operation_id="generate",
    response_model=Generated,
    responses=_RESPONSES,
)
async def generate(
    request: Request, services: ServicesDep, query: Annotated[GenerateQuery, InQuery()]
) -> Response:
    """Sample n images of the prior, or of a class."""
    await refuse_body(request)
    output = choose_output(request, query)
    _check(query, output, services)
    model = await services.model_cache.get(query.model)
    generation = _Generation(
        query=query,
        model=model,
        label=None if query.label is None else find_class(query.label, model),
        seed=latents.random_seed() if query.seed is None else query.seed,
        columns=query.columns or square_columns(query.n),
    )
    caching: dict[str, str] = {}
    if request.method == "GET":
        tag = None if query.seed is None else etag(model, output, generation.all_parameters)
        caching = cache_headers(tag, immutable=model.exact and _is_pinned(query.model))
        if tag is not None and client_has(request, tag):
            headers = model_headers(model, generation.seed) | caching
            return Response(status_code=304, headers=headers)
    response = await decode_and_render(generation.task(services), output, services)
    response.headers.update(caching)
    return response


@dataclass(frozen=True, eq=False)
class _Generation:
    """A request of which the seed, the class and the number of columns have been determined."""

    query: GenerateQuery
    model: LoadedModel
    label: int | None
    """Index of the class; None without one."""
    seed: int
    columns: int

    @cached_property
    def all_parameters(self) -> dict[str, object]:
        """The parameters that reproduce all images."""
        return self.parameters(self.seed, self.query.n, self.columns)

    def parameters(self, seed: int, n: int, columns: int) -> dict[str, object]:
        """Return the parameters that reproduce n images from this seed on."""
        return request_parameters(
            "/generate",
            self.model,
            n=n,
            seed=seed,
            generator=latents.GENERATOR,
            temperature=self.query.temperature,
            label=self.class_name,
            columns=columns,
        )

    @property
    def class_name(self) -> str | None:
        """Name of the class; None without one."""
        return None if self.label is None else self.model.classes[self.label]

    def document(self, samples: list[Sample]) -> Generated:
        """Return the JSON document of the answer."""
        return Generated(
            **provenance(self.model),
            seed=self.seed,
            generator=latents.GENERATOR,
            temperature=self.query.temperature,
            label=self.class_name,
            images=samples,
        )

    def task(self, services: Services) -> DecodeTask:
        """Return the task of decoding n latents, with consecutive seeds."""
        seeds = latents.consecutive_seeds(self.seed, self.query.n)

        async def draw(start: int, stop: int) -> Floats:
            return await draw_latents(
                services.engine, self.model, seeds[start:stop], self.query.temperature, self.label
            )

        return DecodeTask(
            model=self.model,
            n=self.query.n,
            columns=self.columns,
            latents=draw,
            parameters=self.all_parameters,
            image_parameters=lambda i: self.parameters(int(seeds[i]), 1, 1),
            document=self.document,
            seeds=seeds.tolist(),
        )


def _check(query: GenerateQuery, output: OutputOptions, services: Services) -> None:
    settings = services.settings
    check_image_count("n", query.n, output, settings)
    at_most("columns", query.columns or 1, settings.max_images, "ZSERVE_MAX_IMAGES")
    at_most("temperature", query.temperature, settings.max_temperature, "ZSERVE_MAX_TEMPERATURE")


def _is_pinned(reference: str | None) -> bool:
    """Return True if a reference names a version, so that it always stands for the same weights."""
    return reference is not None and ModelRef.parse(reference).version is not None
