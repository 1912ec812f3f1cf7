"""/compress and /decompress: images to one file and back, byte for byte."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Query as InQuery
from starlette.responses import Response

from app.api.compressed_files import (
    FILE_TYPES,
    HOW_TO_SEND_A_FILE,
    HOW_TO_SEND_IMAGES,
    IMAGE_TYPES,
    MEDIA_TYPE,
    SUFFIX,
    bits_per_dimension,
    read_file_header,
)
from app.api.dependencies import ServicesDep
from app.api.encode_uploads import read_levels
from app.api.limits import check_answer_pixels
from app.api.negotiation import choose_output
from app.api.openapi import file_answer, file_body, images, problems
from app.api.provenance import model_headers, request_parameters
from app.api.queries import CompressQuery, DecompressQuery
from app.api.query_route import QueryRoute
from app.api.render import render
from app.api.request_body import read_files
from app.api.result import Arrays, FileEntry, Grid, ImageFiles, Result, square_columns

router = APIRouter(tags=["compression"], route_class=QueryRoute)


@router.post(
    "/compress",
    summary="Compress images without loss",
    operation_id="compress",
    response_class=Response,
    responses=file_answer(
        "All images as one file.",
        MEDIA_TYPE,
        {"X-Bits-Per-Dimension": "Bits of the file for each value of the images."},
    ),
    openapi_extra=file_body(
        "image",
        "PNG files of the model's size, or npy or npz files with uint8 arrays (n, height, width), "
        "(n, channels, height, width) or (n, height, width, channels).",
        IMAGE_TYPES,
        repeated=True,
    ),
)
async def compress(
    request: Request, services: ServicesDep, query: Annotated[CompressQuery, InQuery()]
) -> Response:
    """Return the images as one file, which `/decompress` turns into the same images.

    The images must have the model's size, and are kept as they are: nothing is resized, inverted or
    converted. The more they look like the model's training images, the smaller is the file. An
    exact version is needed; its files can be read on every machine that has it.
    """
    settings = services.settings
    model = await services.model_cache.get(query.model)
    uploads = await read_files(
        request,
        "image",
        IMAGE_TYPES,
        most=settings.max_compressed_images,
        settings=settings,
        remedy=HOW_TO_SEND_IMAGES,
    )
    levels = await read_levels(uploads, model, services)
    content = await services.compressor.compress(model, levels)
    name = f"{model.ref.name}-{model.ref.version}.{SUFFIX}"
    headers = model_headers(model) | {
        "X-Bits-Per-Dimension": f"{bits_per_dimension(content, levels):.4f}",
        "Content-Disposition": f'attachment; filename="{name}"',
    }
    return Response(content, headers=headers, media_type=MEDIA_TYPE)


@router.post(
    "/decompress",
    summary="Decompress images",
    operation_id="decompress",
    response_class=Response,
    responses=images(
        "The images: an npz with the array `images`, a grid, or a zip of PNGs.",
        DecompressQuery.FORMATS,
    )
    | problems(409),
    openapi_extra=file_body("file", "A file from `/compress`.", FILE_TYPES, repeated=False),
)
async def decompress(
    request: Request, services: ServicesDep, query: Annotated[DecompressQuery, InQuery()]
) -> Response:
    """Return the images of a file from `/compress`, byte for byte; as an npz by default.

    The file names the version it was written with, which the service must have.
    """
    output = choose_output(request, query)
    settings = services.settings
    files = await read_files(
        request, "file", FILE_TYPES, most=1, settings=settings, remedy=HOW_TO_SEND_A_FILE
    )
    content = files[0].content
    header, ref = read_file_header(content, settings)
    model = await services.model_cache.get(ref)
    check_answer_pixels(header.images, model, output, settings)
    levels = await services.compressor.decompress(
        model, content, header.images, settings.max_compressed_images
    )
    result = Decompressed(
        model=model,
        parameters=request_parameters("/decompress", model, images=len(levels)),
        images=levels,
    )
    return await render(result, output)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decompressed(Result):
    """The images of a compressed file."""

    def grid(self) -> Grid:
        """Return the images as a square grid."""
        return Grid(self.images, square_columns(len(self.images)))

    def files(self) -> ImageFiles:
        """Return each image as a file."""
        entries = [FileEntry(f"{i:06d}.png", {"image": i}) for i in range(len(self.images))]
        return ImageFiles(self.images, entries)

    def arrays(self) -> Arrays:
        """Return the images as one array."""
        return Arrays({"images": self.images}, {})
