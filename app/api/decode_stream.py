"""Decode the latents of /generate, /decode and /augment; send archives while they are made."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from starlette.responses import Response, StreamingResponse

from app.api.archive import ImageArchive
from app.api.dependencies import Services
from app.api.limits import at_most, check_answer_pixels
from app.api.render import FORMATS, answer_headers, image_field, render
from app.api.responses_schema import Answer, Sample
from app.api.result import Arrays, FileEntry, Grid, ImageFiles, OutputOptions, Result
from app.errors import QueueFullError
from app.inference.loaded_model import LoadedModel
from app.settings import Settings
from app.typing import Bytes, Floats

_PIECE = 128
"""Number of images of an archive that are computed and sent at a time."""
_RETRIES = 600
"""Number of times that an archive retries a full queue, once its answer has begun."""
_RETRY_AFTER_S = 0.1


@dataclass(frozen=True, eq=False)
class DecodeTask:
    """Latents to decode, and the texts and numbers of the answer."""

    model: LoadedModel
    n: int
    columns: int
    latents: Callable[[int, int], Awaitable[Floats]]
    """Function (start, stop) that returns these rows of z."""
    parameters: Mapping[str, object]
    """The parameters that reproduce all images."""
    image_parameters: Callable[[int], Mapping[str, object]]
    """Function that returns the parameters that reproduce image i alone."""
    document: Callable[[list[Sample]], Answer]
    """Function that puts the images into the JSON document of the endpoint."""
    seeds: Sequence[int] | None = None
    """Seed of each image; None if the request sent the latents."""

    @property
    def seed(self) -> int | None:
        """Seed of the first image; None if the request sent the latents."""
        return None if self.seeds is None else self.seeds[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedImages(Result):
    """The decoded images of a task."""

    task: DecodeTask
    z: Floats

    def grid(self) -> Grid:
        """Return the images in the requested number of columns."""
        return Grid(self.images, self.task.columns)

    def arrays(self) -> Arrays:
        """Return images, latents and seeds."""
        seeds = None if self.task.seeds is None else np.array(self.task.seeds, np.uint32)
        return Arrays({"images": self.images}, {"z": self.z, "seeds": seeds})

    def document(self, output: OutputOptions) -> Answer:
        """Return the endpoint's document, with latent and seed of each image."""
        seeds = self.task.seeds if self.task.seeds is not None else [None] * self.task.n
        return self.task.document(
            [
                Sample(seed=seed, z=z.tolist(), **image_field(image, output))
                for seed, z, image in zip(seeds, self.z, self.images, strict=True)
            ]
        )


def check_image_count(name: str, n: int, output: OutputOptions, settings: Settings) -> None:
    """Raise LimitError if n is more images than an answer of this format may have."""
    if FORMATS[output.format].streamable:
        limit, setting = settings.max_streamed_images, "ZSERVE_MAX_STREAMED_IMAGES"
    else:
        limit, setting = settings.max_images, "ZSERVE_MAX_IMAGES"
    at_most(name, n, limit, setting)


def check_decoded_pixels(
    n: int, model: LoadedModel, output: OutputOptions, settings: Settings
) -> None:
    """Raise LimitError if n images have too many pixels; streamed images are checked singly."""
    n_at_once = 1 if FORMATS[output.format].streamable else n
    check_answer_pixels(n_at_once, model, output, settings)


async def decode_and_render(
    task: DecodeTask, output: OutputOptions, services: Services
) -> Response:
    """Decode the latents of a task and answer with the images."""
    check_decoded_pixels(task.n, task.model, output, services.settings)
    if FORMATS[output.format].streamable:
        return await _stream(task, output, services)
    z = await task.latents(0, task.n)
    images = await services.engine.decode_levels(task.model, z)
    result = DecodedImages(
        model=task.model,
        parameters=task.parameters,
        seed=task.seed,
        images=images,
        task=task,
        z=z,
    )
    return await render(result, output)


# --- archives that are sent while they are made ------------------------------------------------


async def _stream(task: DecodeTask, output: OutputOptions, services: Services) -> Response:
    """Answer with an archive that is made while it is sent.

    The first piece is decoded before the answer begins, so that its errors still become problems.
    """
    first = await _decode_piece(task, 0, services)
    return StreamingResponse(
        _pieces(task, output, services, first),
        headers=answer_headers(task.model, task.seed, output),
        media_type=FORMATS[output.format].media_type,
    )


async def _pieces(
    task: DecodeTask, output: OutputOptions, services: Services, decoded: tuple[Floats, Bytes]
) -> AsyncIterator[bytes]:
    """Yield the archive, _PIECE images at a time."""
    archive = ImageArchive(("seed",), task.model.latent, output)

    def add(start: int, z: Floats, images: Bytes) -> bytes:
        entries = [_file_entry(task, i, row) for i, row in enumerate(z, start)]
        return archive.add(ImageFiles(images, entries))

    for start in range(0, task.n, _PIECE):
        if start:
            decoded = await _decode_piece_with_retries(task, start, services)
        yield await asyncio.to_thread(add, start, *decoded)
    for part in archive.close(task.parameters):
        yield part


def _file_entry(task: DecodeTask, i: int, z: Floats) -> FileEntry:
    seed = None if task.seeds is None else task.seeds[i]
    return FileEntry(f"{i:06d}.png", {"seed": seed}, z, task.image_parameters(i))


async def _decode_piece(task: DecodeTask, start: int, services: Services) -> tuple[Floats, Bytes]:
    """Return z and images of one piece."""
    z = await task.latents(start, min(start + _PIECE, task.n))
    return z, await services.engine.decode_levels(task.model, z)


async def _decode_piece_with_retries(
    task: DecodeTask, start: int, services: Services
) -> tuple[Floats, Bytes]:
    """Decode one piece, retrying if the queue is full, because the answer has begun already."""
    for _ in range(_RETRIES):
        try:
            return await _decode_piece(task, start, services)
        except QueueFullError:
            await asyncio.sleep(_RETRY_AFTER_S)
    return await _decode_piece(task, start, services)
