"""Prepare uploaded images for a model and encode them."""

import asyncio
from collections.abc import Sequence

import numpy as np

from app.api.dependencies import Services
from app.api.queries import UploadQuery
from app.api.request_body import Upload
from app.errors import UploadError
from app.imaging.decode import decode_upload
from app.inference.loaded_model import LoadedModel
from app.typing import Floats
from model_store.errors import ImageError
from model_store.preprocessing import Preprocess, prepare
from model_store.spec import ModelSpec


async def encode_uploads(
    uploads: Sequence[Upload], query: UploadQuery, model: LoadedModel, services: Services
) -> tuple[Floats, Floats, Floats]:
    """Prepare uploads and encode them.

    Returns x (batch, channels, height, width) in [0, 1], and mu and logvar, both (batch, latent).
    Raises UploadError, ImageError.
    """
    x = await asyncio.to_thread(
        _prepare, uploads, model.manifest.spec, query.preprocess, services.settings.max_pixels
    )
    mu, logvar = await services.engine.encode(model, x)
    return x, mu, logvar


def _prepare(
    uploads: Sequence[Upload], spec: ModelSpec, preprocess: Preprocess, max_pixels: int
) -> Floats:
    """Return the prepared uploads; errors name the upload."""
    prepared = []
    for upload in uploads:
        try:
            image = decode_upload(upload.content, max_pixels=max_pixels)
            prepared.append(prepare(image, spec, preprocess))
        except UploadError as error:
            raise type(error)(
                f"{upload.name}: {error}", limit=error.limit, remedy=error.remedy
            ) from error
        except ImageError as error:
            raise type(error)(f"{upload.name}: {error}") from error
    return np.stack(prepared)
