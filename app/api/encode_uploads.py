"""Decode uploaded files for a model, and encode uploaded images."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from app.api.dependencies import Services
from app.api.queries import UploadQuery
from app.errors import TimedOutError
from app.imaging.decode import PixelLimits
from app.imaging.jobs import LevelsJob, PrepareJob
from app.inference.loaded_model import LoadedModel
from app.settings import Settings
from app.typing import Bytes, Floats, Upload
from model_store.preprocessing import Preprocess, from_bytes


async def encode_uploads(
    uploads: Sequence[Upload], query: UploadQuery, model: LoadedModel, services: Services
) -> tuple[Floats, Floats, Floats]:
    """Prepare uploads and encode them, both within the timeout of a request.

    Returns x (batch, channels, height, width) in [0, 1], and mu and logvar, both (batch, latent).
    Raises UploadError, ImageError, UnavailableError.
    """
    return await _encode(services.engine.encode, uploads, query, model, services)


async def encode_before_flow(
    uploads: Sequence[Upload], query: UploadQuery, model: LoadedModel, services: Services
) -> tuple[Floats, Floats, Floats]:
    """Prepare uploads and return x, and mu and logvar of q(z | x), before a flow.

    Shapes as in `encode_uploads`; without a flow the values are the same. Raises UploadError, ImageError,
    UnavailableError.
    """
    return await _encode(services.engine.posterior, uploads, query, model, services)


async def _encode(
    encode: Callable[[LoadedModel, Floats], Awaitable[tuple[Floats, Floats]]],
    uploads: Sequence[Upload],
    query: UploadQuery,
    model: LoadedModel,
    services: Services,
) -> tuple[Floats, Floats, Floats]:
    """Prepare uploads and encode them by a function of the engine."""
    async with _timeout(services.settings):
        x = await _prepare(uploads, query, model, services)
        mu, logvar = await encode(model, x)
    return x, mu, logvar


async def _prepare(
    uploads: Sequence[Upload], query: UploadQuery, model: LoadedModel, services: Services
) -> Floats:
    """Return uploads as the model sees them; (batch, channels, height, width) in [0, 1]."""
    return from_bytes(await prepare_uploads(uploads, query.preprocess, model, services))


async def prepare_uploads(
    uploads: Sequence[Upload], preprocess: Preprocess, model: LoadedModel, services: Services
) -> Bytes:
    """Return uploads as the model sees them; (batch, channels, height, width) in 0..255.

    Raises UploadError, ImageError, UnavailableError.
    """
    settings = services.settings
    job = PrepareJob(
        spec=model.manifest.spec,
        preprocess=preprocess,
        limits=PixelLimits(settings.max_pixels, settings.max_upload_pixels),
    )
    return await services.decoder.run(job, uploads)


async def read_levels(uploads: Sequence[Upload], model: LoadedModel, services: Services) -> Bytes:
    """Return the grey levels of uploads, none of which changes; (images, channels, height, width).

    Raises UploadError, LimitError, UnavailableError.
    """
    settings = services.settings
    job = LevelsJob(
        spec=model.manifest.spec,
        max_pixels=settings.max_pixels,
        most_images=settings.max_compressed_images,
    )
    async with _timeout(settings):
        return await services.decoder.run(job, uploads)


@asynccontextmanager
async def _timeout(settings: Settings) -> AsyncIterator[None]:
    """Raise TimedOutError if the block takes longer than a request may."""
    try:
        async with asyncio.timeout(settings.request_timeout_s):
            yield
    except TimeoutError as error:
        raise TimedOutError(
            f"the uploads were not ready within {settings.request_timeout_s:g} s",
            limit=settings.request_timeout_s,
        ) from error
