"""/interpolate: decode a path between the latents of two images or seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from numpy.typing import NDArray
from starlette.responses import Response

from app.api.dependencies import Services, ServicesDep
from app.api.encode_uploads import encode_uploads
from app.api.limits import at_most, check_answer_pixels
from app.api.negotiation import choose_output
from app.api.openapi import form_body, images
from app.api.provenance import latent_parameters, provenance, request_parameters
from app.api.queries import InterpolateQuery
from app.api.query_route import QueryRoute
from app.api.render import image_field, image_to_json, render
from app.api.request_body import Uploads, read_uploads
from app.api.responses_schema import Frame, Interpolated, Unusual
from app.api.result import Animation, Arrays, FileEntry, Grid, ImageFiles, OutputOptions, Result
from app.api.unusual import can_warn, unusual_headers_by_name, unusual_uploads
from app.errors import ParameterError
from app.inference.loaded_model import LoadedModel
from app.off_loop import LARGE_NUMBERS, call
from app.sampling.latents import GENERATOR, consecutive_seeds, standard_normal
from app.sampling.paths import lerp, slerp
from app.typing import Bytes, Floats, Upload
from model_store.preprocessing import to_bytes

router = APIRouter(tags=["images"], route_class=QueryRoute)


@router.post(
    "/interpolate",
    summary="Interpolate between two images",
    operation_id="interpolate",
    response_model=Interpolated,
    responses=images(
        "One row: A, the frames from reconstruction to reconstruction, B.",
        InterpolateQuery.FORMATS,
        uploads=True,
    ),
    openapi_extra=form_body({"a": "Image to start from.", "b": "Image to end at."}),
)
async def interpolate(
    request: Request, services: ServicesDep, query: Annotated[InterpolateQuery, InQuery()]
) -> Response:
    """Decode a path through the latent space from A to B.

    Each end is an image (`a`, `b`, multipart) or a seed (`seed_a`, `seed_b`); one end may be an
    image and the other a seed. The first and the last frame are the reconstructions of A and B. A
    GIF or an APNG plays the frames without the originals; a grey GIF and every APNG are exact.
    """
    settings = services.settings
    at_most("steps", query.steps, settings.max_images - 2, "ZSERVE_MAX_IMAGES")
    output = choose_output(request, query)
    model = await services.model_cache.get(query.model)
    check_answer_pixels(query.steps + 2, model, output, settings)
    uploads = await read_uploads(request, ["a", "b"], settings)
    sources = [_source("a", uploads, query.seed_a), _source("b", uploads, query.seed_b)]
    a, b = await _ends(sources, model, query, services)
    path = slerp if query.path == "slerp" else lerp
    z = await call(
        lambda: path(a.z, b.z, query.steps), off_loop=query.steps * model.latent >= LARGE_NUMBERS
    )
    frames = await services.engine.decode_levels(model, z)
    result = Interpolation(
        model=model,
        parameters=_parameters(query, model),
        images=frames,
        query=query,
        a=a,
        b=b,
        z=z,
        unusual=await _warnings(model, (a, b), frames[[0, -1]]),
    )
    response = await render(result, output)
    response.headers.update(unusual_headers_by_name(result.unusual))
    return response


class End(NamedTuple):
    """One end of the path."""

    image: Bytes | None
    """The upload as the model sees it, (channels, height, width) in 0..255; None for a seed."""
    z: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Interpolation(Result):
    """The frames of a path (`images`) and its ends."""

    query: InterpolateQuery
    a: End
    b: End
    z: Floats
    unusual: Mapping[str, Unusual | None]
    """For `a` and `b` a warning if it is an upload that is not like the images that the model learnt."""

    def grid(self) -> Grid:
        """Return one row: A, the frames, B."""
        first, last = self._end_images()
        row = np.stack([first, *self.images, last])
        return Grid(row, len(row))

    def animation(self) -> Animation:
        """Return the frames and the settings of their animation."""
        query = self.query
        return Animation(self.images, query.frame_ms, query.loop, query.bounce)

    def files(self) -> ImageFiles:
        """Return the frames followed by A and B."""
        t = self._positions()
        entries = [self._entry(f"{i:06d}.png", t[i], z) for i, z in enumerate(self.z)]
        entries += [
            self._entry("a.png", None, self.z[0] if self.a.image is None else None),
            self._entry("b.png", None, self.z[-1] if self.b.image is None else None),
        ]
        return ImageFiles(np.concatenate([self.images, np.stack(self._end_images())]), entries)

    def arrays(self) -> Arrays:
        """Return frames, ends, latents and positions."""
        ends = np.stack(self._end_images())
        return Arrays({"images": self.images, "ends": ends}, {"z": self.z, "t": self._positions()})

    def document(self, output: OutputOptions) -> Interpolated:
        """Return each frame with its position and latent."""
        first, last = self._end_images()
        steps = self.query.steps
        return Interpolated(
            **provenance(self.model),
            generator=_generator(self.query),
            path=self.query.path,
            seed_a=self.query.seed_a,
            seed_b=self.query.seed_b,
            a=image_to_json(first, output),
            b=image_to_json(last, output),
            frames=[
                Frame(
                    t=i / (steps - 1),
                    z=self.z[i].tolist(),
                    **image_field(self.images[i], output),
                )
                for i in range(steps)
            ],
            unusual_a=self.unusual["a"],
            unusual_b=self.unusual["b"],
        )

    def _end_images(self) -> tuple[Bytes, Bytes]:
        """Return A and B: the uploads, or the decoded latents of seeds."""
        first = self.images[0] if self.a.image is None else self.a.image
        last = self.images[-1] if self.b.image is None else self.b.image
        return first, last

    def _positions(self) -> NDArray[np.float64]:
        """Return the position of each frame: 0 at A, 1 at B."""
        return np.linspace(0, 1, self.query.steps)

    def _entry(self, name: str, t: float | None, z: Floats | None) -> FileEntry:
        parameters = None if z is None else latent_parameters(self.model, z)
        return FileEntry(name, {"t": t}, z, parameters)


async def _warnings(
    model: LoadedModel, ends: Sequence[End], reconstructions: Bytes
) -> dict[str, Unusual | None]:
    """Return the warnings of the ends that are uploads; reconstructions (2, ...)."""
    warnings: dict[str, Unusual | None] = {"a": None, "b": None}
    for i, (name, end) in enumerate(zip(warnings, ends, strict=True)):
        if end.image is not None and can_warn(model):
            (warnings[name],) = await unusual_uploads(
                model, end.image[None], reconstructions[i : i + 1], end.z[None]
            )
    return warnings


def _parameters(query: InterpolateQuery, model: LoadedModel) -> dict[str, object]:
    return request_parameters(
        "/interpolate",
        model,
        seed_a=query.seed_a,
        seed_b=query.seed_b,
        generator=_generator(query),
        steps=query.steps,
        path=query.path,
        preprocess=query.preprocess,
    )


def _generator(query: InterpolateQuery) -> str | None:
    """Return the name of the generator if one of the ends is a seed."""
    return None if query.seed_a is None and query.seed_b is None else GENERATOR


def _source(end: str, uploads: Uploads, seed: int | None) -> Upload | int:
    """Return the image or the seed of one end; raises ParameterError unless there is exactly one."""
    sent = uploads.get(end, ())
    if len(sent) + (seed is not None) == 1:
        return sent[0] if seed is None else seed
    problem = "is missing" if not sent and seed is None else "has more than one image or seed"
    raise ParameterError(
        f"{end} {problem}",
        remedy=f"send either one image in the form field {end}, or seed_{end} in the query",
    )


async def _ends(
    sources: Sequence[Upload | int],
    model: LoadedModel,
    query: InterpolateQuery,
    services: Services,
) -> list[End]:
    """Return the image and the latent of each end; uploads are encoded together."""
    uploads = [source for source in sources if isinstance(source, Upload)]
    encoded: list[End] = []
    if uploads:
        x, mu, _ = await encode_uploads(uploads, query, model, services)
        encoded = [End(*end) for end in zip(to_bytes(x), mu, strict=True)]
    ends = []
    for source in sources:
        if isinstance(source, Upload):
            ends.append(encoded.pop(0))
        else:
            seeds = consecutive_seeds(source, 1)
            ends.append(End(None, standard_normal(seeds, model.latent)[0]))
    return ends
