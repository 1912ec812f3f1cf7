"""Turn the result of an endpoint into the answer that the client asked for.

FORMATS is the one table of formats: queries, content negotiation and the API description are
derived from it. A new format is a row here, made from one of the kinds of content that a `Result`
offers.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from starlette.responses import Response

from app.api.archive import ImageArchive
from app.api.provenance import model_headers
from app.api.responses_schema import Pixels
from app.api.result import OutputOptions, Result
from app.imaging.animation import back_and_forth, encode_apng, encode_gif
from app.imaging.grid import channels_last, enlarge, make_grid
from app.imaging.npz import encode_npz
from app.imaging.png import encode_png
from app.inference.loaded_model import LoadedModel
from app.off_loop import call
from app.typing import Bytes

Content = Literal["grid", "document", "files", "arrays", "animation"]
"""Kinds of content, named like the methods of `Result` that return them."""

_LARGE = 500_000
"""Number of pixel values and latents from which on encoding runs in a thread, off the event loop."""
_LARGE_SINGLY = 50_000
"""Number of pixel values, for formats that encode each image or number by itself: about 5 ms."""


@dataclass(frozen=True)
class Format:
    """A format of answers."""

    media_type: str
    content: Content
    encode: Callable[[Result, OutputOptions], bytes | str]
    attachment: bool = False
    """True if browsers should save the answer instead of showing it."""
    streamable: bool = False
    """True if the answer can be sent while it is made, so that it may have more images."""
    large: int = _LARGE
    """Number of pixel values from which on encoding runs off the event loop."""

    @property
    def has_numbers(self) -> bool:
        """True if the answer states numbers about the images besides showing them."""
        return self.content not in {"grid", "animation"}


async def render(result: Result, output: OutputOptions) -> Response:
    """Encode a result in the format that the client asked for."""
    wanted = FORMATS[output.format]
    size = result.images.size * output.scale**2
    if wanted.has_numbers:
        size += len(result.images) * result.model.latent
    content = await call(lambda: wanted.encode(result, output), off_loop=size >= wanted.large)
    return Response(
        content,
        headers=answer_headers(result.model, result.seed, output),
        media_type=wanted.media_type,
    )


def answer_headers(model: LoadedModel, seed: int | None, output: OutputOptions) -> dict[str, str]:
    """Return the headers of an answer: weights, seed, and a file name for attachments."""
    headers = model_headers(model, seed)
    if FORMATS[output.format].attachment:
        suffix = "" if seed is None else f"-seed-{seed}"
        name = f"{model.ref.name}-{model.ref.version}{suffix}.{output.format}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return headers


# --- images in JSON ----------------------------------------------------------------------------


def image_to_json(image: Bytes, output: OutputOptions) -> str | Pixels:
    """Return one image as a base64 PNG, or as numbers 0..255 if the client asked for them.

    The image is (channels, height, width).
    """
    if output.pixels:
        numbers: Pixels = channels_last(image).tolist()
        return numbers
    return base64.b64encode(encode_png(enlarge(image, output.scale))).decode()


def image_field(image: Bytes, output: OutputOptions) -> dict[str, Any]:
    """Return one image as the field `png` or `pixels` of a JSON object."""
    return {"pixels" if output.pixels else "png": image_to_json(image, output)}


# --- one function for each format --------------------------------------------------------------


def _encode_png(result: Result, output: OutputOptions) -> bytes:
    images, columns = result.grid()
    grid = make_grid(images, columns)
    return encode_png(enlarge(grid, output.scale), _stored_parameters(result, output))


def _encode_json(result: Result, output: OutputOptions) -> str:
    return result.document(output).model_dump_json()


def _encode_zip(result: Result, output: OutputOptions) -> bytes:
    files = result.files()
    latent = result.model.latent if any(entry.z is not None for entry in files.entries) else 0
    archive = ImageArchive(tuple(files.entries[0].fields), latent, output)
    return b"".join([archive.add(files), *archive.close(result.parameters)])


def _encode_npz(result: Result, output: OutputOptions) -> bytes:
    images, numbers = result.arrays()
    arrays = {name: channels_last(x) for name, x in images.items()}
    arrays |= {name: np.asarray(x) for name, x in numbers.items() if x is not None}
    if output.metadata:
        arrays["parameters"] = np.array(json.dumps(result.parameters))
    return encode_npz(arrays)


def _encode_gif(result: Result, output: OutputOptions) -> bytes:
    return _encode_animation(encode_gif, result, output)


def _encode_apng(result: Result, output: OutputOptions) -> bytes:
    return _encode_animation(encode_apng, result, output)


def _encode_animation(encode: Callable[..., bytes], result: Result, output: OutputOptions) -> bytes:
    animation = result.animation()
    frames = enlarge(animation.frames, output.scale)
    return encode(
        back_and_forth(frames) if animation.bounce else frames,
        frame_ms=animation.frame_ms,
        loop=animation.loop,
        parameters=_stored_parameters(result, output),
    )


def _stored_parameters(result: Result, output: OutputOptions) -> Mapping[str, object] | None:
    return result.parameters if output.metadata else None


FORMATS: Mapping[str, Format] = {
    "png": Format("image/png", "grid", _encode_png),
    "json": Format("application/json", "document", _encode_json, large=_LARGE_SINGLY),
    "zip": Format(
        "application/zip",
        "files",
        _encode_zip,
        attachment=True,
        streamable=True,
        large=_LARGE_SINGLY,
    ),
    "npz": Format("application/x-npz", "arrays", _encode_npz, attachment=True),
    "gif": Format("image/gif", "animation", _encode_gif, large=_LARGE_SINGLY),
    "apng": Format("image/apng", "animation", _encode_apng, large=_LARGE_SINGLY),
}
"""The formats by their value of `format=`; the first that an endpoint offers is its default."""


def formats_of(*contents: Content) -> tuple[str, ...]:
    """Return the names of the formats made of these kinds of content, in the order of FORMATS."""
    return tuple(name for name, each in FORMATS.items() if each.content in contents)
