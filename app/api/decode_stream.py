"""Latents -> decoded images in every form: what /generate, /decode and /augment have in common."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from starlette.responses import Response, StreamingResponse

from app.api import answers
from app.api.dependencies import Services
from app.api.schemas import Answer, Sample, at_most
from app.errors import QueueFullError
from app.imaging import formats
from app.inference.loaded_model import LoadedModel
from model_store.preprocessing import to_bytes

Floats = NDArray[np.float32]

_PIECE = 128
"""Images of a zip that are computed and sent at once."""
_TRIES = 600
"""How often a zip under way asks again where the queue is full; a new request is refused."""


@dataclass(frozen=True)
class Samples:
    """What is to be decoded.

    `latents(start, stop)` gives those rows of z; `facts` says how to get all of it again, and
    `facts_of(i)` how to get image i alone.
    """

    model: LoadedModel
    n: int
    latents: Callable[[int, int], Awaitable[Floats]]
    facts: Mapping[str, object]
    facts_of: Callable[[int], Mapping[str, object]]
    seeds: Sequence[int] | None = None

    @property
    def seed(self) -> int | None:
        """Of the first image."""
        return None if self.seeds is None else self.seeds[0]


def check_number(name: str, n: int, form: answers.Form, services: Services) -> None:
    """Raise LimitError where n is more than this form can have."""
    settings = services.settings
    if form.format == "zip":
        limit, setting = settings.max_streamed_images, "ZSERVE_MAX_STREAMED_IMAGES"
    else:
        limit, setting = settings.max_images, "ZSERVE_MAX_IMAGES"
    at_most(name, n, limit, setting)


async def answer(
    samples: Samples,
    form: answers.Form,
    columns: int,
    services: Services,
    describe: Callable[[list[Sample]], Answer],
) -> Response:
    """The decoded images; `describe` puts them into the JSON of the endpoint."""
    model = samples.model
    together = samples.n if form.format != "zip" else 1
    answers.check_size(together, model, form, services.settings)
    if form.format == "zip":
        return await _zip(samples, form, services)
    z = await samples.latents(0, samples.n)
    pixels = await services.engine.decode(model, z)
    if form.format == "png":
        return await answers.png(
            pixels, columns, model, form, parameters=samples.facts, seed=samples.seed
        )
    if form.format == "npz":
        seeds = None if samples.seeds is None else np.array(samples.seeds, np.uint32)
        return await answers.npz(
            model,
            form,
            parameters=samples.facts,
            seed=samples.seed,
            images={"images": pixels},
            z=z,
            seeds=seeds,
        )
    described = await answers.apart(
        pixels.size * form.scale**2, lambda: describe(_in_json(samples, z, pixels, form))
    )
    return answers.json(described, model, seed=samples.seed)


def _in_json(samples: Samples, z: Floats, pixels: Floats, form: answers.Form) -> list[Sample]:
    seeds = samples.seeds if samples.seeds is not None else [None] * samples.n
    return [
        Sample(seed=seed, z=row.tolist(), **answers.named(image, form))
        for seed, row, image in zip(seeds, z, pixels, strict=True)
    ]


# --- zip ---------------------------------------------------------------------------------------


async def _zip(samples: Samples, form: answers.Form, services: Services) -> Response:
    """The first images are computed before the answer begins, so that it can still be an error."""
    first = await _decode(samples, 0, services)
    return StreamingResponse(
        _pieces(samples, form, services, first),
        headers=answers.file_headers(form, samples.model, samples.seed),
        media_type=answers.MEDIA_TYPES["zip"],
    )


async def _pieces(
    samples: Samples, form: answers.Form, services: Services, decoded: tuple[Floats, Floats]
) -> AsyncIterator[bytes]:
    """The archive, some images at a time: memory grows by the lines of the manifest alone."""
    archive = formats.ZipWriter()
    manifest = [
        formats.csv_lines([["file", "seed", *(f"z{i}" for i in range(samples.model.latent))]])
    ]

    def write(start: int, z: Floats, pixels: Floats) -> bytes:
        files, lines = [], []
        for i, (row, image) in enumerate(zip(z, to_bytes(pixels), strict=True), start):
            name = f"{i:06d}.png"
            said = samples.facts_of(i) if form.metadata else None
            files.append(
                archive.add(name, formats.encode_png(formats.enlarge(image, form.scale), said))
            )
            lines.append(
                [name, None if samples.seeds is None else samples.seeds[i], *map(str, row)]
            )
        manifest.append(formats.csv_lines(lines))
        return b"".join(files)

    for start in range(0, samples.n, _PIECE):
        if start:
            decoded = await _decode_patiently(samples, start, services)
        yield await asyncio.to_thread(write, start, *decoded)
    size, checksum = (
        sum(map(len, manifest)),
        reduce(lambda crc, part: crc32(part, crc), manifest, 0),
    )
    yield archive.announce("manifest.csv", size, checksum)
    for part in manifest:
        yield part
    if form.metadata:
        yield archive.add("parameters.json", json.dumps(dict(samples.facts)).encode())
    yield archive.close()


async def _decode(samples: Samples, start: int, services: Services) -> tuple[Floats, Floats]:
    """z and pixels of one piece."""
    z = await samples.latents(start, min(start + _PIECE, samples.n))
    return z, await services.engine.decode(samples.model, z)


async def _decode_patiently(
    samples: Samples, start: int, services: Services
) -> tuple[Floats, Floats]:
    """The same, asking again where the queue is full: half of the answer is sent already."""
    for _ in range(_TRIES):
        try:
            return await _decode(samples, start, services)
        except QueueFullError:
            await asyncio.sleep(0.1)
    return await _decode(samples, start, services)
