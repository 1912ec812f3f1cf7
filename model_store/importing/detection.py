"""Find out what a pair of ONNX graphs takes and gives; refuse what is not an encoder and a decoder."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import ValidationError

from model_store import json_files
from model_store.errors import GraphError
from model_store.graphs.graph import Array, OnnxGraph, Value
from model_store.graphs.network import PROBE_S, channels_first, in_layout
from model_store.graphs.pair import DECODER, ENCODER
from model_store.graphs.reading import ExternalData, read_graph
from model_store.graphs.sessions import GraphSession
from model_store.graphs.writing import write_graph
from model_store.importing.pixels import ends_in_tanh, giving_unit, taking_unit
from model_store.spec import MAX_LATENT, ImageShape, Layout, ModelSpec, Onnx

PROBED = 16
"""Number of images that are decoded to see what the decoder gives."""
ALONE = 3
"""Number of images that are also computed alone."""
MAX_IMAGE_S = 2.0
"""Longest time (s) to encode or decode one image."""
TOLERANCE = 1e-3
"""Largest difference of a row's result in a batch and alone, relative to the largest result."""
_MU = ("mu", "mean")
_LOGVAR = ("logvar", "log_var", "lnvar", "ln_var")
_CHANNELS = (1, 3)
_FLOAT32, _UINT8 = 1, 2
_GREATEST_GREY = 255
_DARK = -0.25
"""A tanh that learnt images in [0, 1] seldom gives less: it misses black by less than that."""
_DARK_SHARE = 0.01
"""Share of pixels below `_DARK` from which on images are taken to be in [-1, 1]."""

Pixels = Literal["unit", "signed", "levels", "logits"]
"""Pixels of a decoder: in [0, 1], in [-1, 1], grey levels 0 to 255, or logits."""


@dataclass(frozen=True)
class Wishes:
    """Properties of graphs that a user states because the graphs leave them open."""

    image: ImageShape | None = None
    """Shape of the images, if the graphs leave it open."""
    encoder_outputs: tuple[str, ...] = ()
    """Names of the outputs mu and ln sigma^2, or of the only output."""
    upload: Literal["digit", "resize"] = "resize"
    """Preparation of uploads, as in `ModelSpec.upload`."""
    pixels: Literal["unit", "signed", "logits"] | None = None
    """Pixels of both graphs (the encoder never takes logits); found out if None."""


@dataclass(frozen=True)
class Detected:
    """The spec of a pair of graphs, and the graphs as they are stored."""

    spec: ModelSpec
    encoder: bytes
    decoder: bytes
    pixels: Pixels
    """Pixels of the decoder before it was converted; the stored decoder never gives "signed"."""


def detect(
    encoder: bytes,
    decoder: bytes,
    wishes: Wishes,
    external: Sequence[ExternalData | None] = (None, None),
) -> Detected:
    """Read two graphs, run them on a few images, and describe them; raises GraphError.

    `external` reads constants that lie in files beside the encoder and beside the decoder.
    """
    with _named(ENCODER):
        encoding = read_graph(encoder, external[0])
        source = _one(encoding.inputs, "inputs")
        image, layout = _image(source, wishes.image)
        taken = _input_pixels(source)
        encoding = encoding.with_outputs(_posterior_names(encoding, wishes.encoder_outputs))
    with _named(DECODER):
        decoding = read_graph(decoder, external[1])
        latent = _latent(_one(decoding.inputs, "inputs"))
        decoding = decoding.with_outputs((_one(decoding.outputs, "outputs").name,))
        draws = np.random.default_rng(0).standard_normal((PROBED, latent)).astype(np.float32)
        (result,) = _probed(decoding, draws)
        shown_in = _output_layout(result, image)
        pixels = wishes.pixels or _output_pixels(decoding, result)
        if result.dtype == np.uint8 and pixels != "levels":
            raise GraphError("it gives grey levels 0 to 255, as uint8; leave --pixels out")
        decoding = giving_unit(decoding) if pixels == "signed" else decoding
    with _named(ENCODER):
        encoding = taking_unit(encoding) if (pixels, taken) == ("signed", "unit") else encoding
        images = in_layout(_in_unit(channels_first(result, image, shown_in), pixels), layout)
        levels = np.rint(images * _GREATEST_GREY).astype(np.uint8)
        posterior = _posterior(_probed(encoding, levels if taken == "levels" else images), latent)
    encoder, decoder = write_graph(encoding), write_graph(decoding)
    network = Onnx(
        encoder_bytes=len(encoder),
        decoder_bytes=len(decoder),
        encoder_layout=layout,
        decoder_layout=shown_in,
        encoder_pixels=taken,
        decoder_pixels="unit" if pixels == "signed" else pixels,
        posterior=posterior,
    )
    spec = ModelSpec(network=network, latent=latent, image=image, upload=wishes.upload)
    return Detected(spec, encoder, decoder, pixels)


# --- inputs ------------------------------------------------------------------------------------


def _one(values: Sequence[Value], what: str) -> Value:
    if len(values) != 1:
        named = ", ".join(map(str, values[:10])) or "none"
        raise GraphError(f"it has {len(values)} {what}, expected one: {named}")
    return values[0]


def _image(source: Value, wished: ImageShape | None) -> tuple[ImageShape, Layout]:
    """Return the shape of the images that an encoder takes, and their layout."""
    _check_batch(source)
    sides = source.shape[1:]
    image = wished or _image_of(source)
    for layout, shape in _shapes(image).items():
        if len(shape) == len(sides) and all(
            side is None or side == expected for side, expected in zip(sides, shape, strict=True)
        ):
            return image, layout
    raise GraphError(f"its input {source} does not take images of {image.shape}")


def _image_of(source: Value) -> ImageShape:
    """Return the shape of images that an input asks for."""
    sides = [side or 0 for side in source.shape[1:]]
    match sides:
        case [channels, height, width] if channels in _CHANNELS and height and width:
            return _shape(channels, height, width)
        case [height, width, channels] if channels in _CHANNELS and height and width:
            return _shape(channels, height, width)
        case [height, width] if height and width:
            return _shape(1, height, width)
        case [pixels] if pixels:
            for channels in _CHANNELS:
                side = math.isqrt(pixels // channels)
                if channels * side * side == pixels:
                    return _shape(channels, side, side)
    raise GraphError(
        f"its input {source} leaves the shape of images open; say it by --image 1x28x28, or exchange "
        "the files of --encoder and --decoder if it takes latents"
    )


def _shape(channels: int, height: int, width: int) -> ImageShape:
    try:
        return ImageShape.model_validate({"channels": channels, "height": height, "width": width})
    except ValidationError as error:
        raise GraphError(
            f"images of {channels}x{height}x{width} are not supported: "
            f"{json_files.first_problem(error)}"
        ) from error


def _shapes(image: ImageShape) -> dict[Layout, tuple[int, ...]]:
    """Return the axes of images, after the batch, in each layout."""
    c, h, w = image.shape
    shapes: dict[Layout, tuple[int, ...]] = {
        "channels_first": (c, h, w),
        "channels_last": (h, w, c),
        "flat": (c * h * w,),
    }
    return shapes | {"plane": (h, w)} if c == 1 else shapes


def _latent(source: Value) -> int:
    """Return the number of latent dimensions that a decoder takes."""
    _check_batch(source)
    if source.dtype != _FLOAT32 or len(source.shape) != 2 or not source.shape[1]:
        raise GraphError(f"its input is {source}, expected float32 latents (batch, latent)")
    if source.shape[1] > MAX_LATENT:
        raise GraphError(f"it has {source.shape[1]:,} latent dimensions, at most {MAX_LATENT:,}")
    return source.shape[1]


def _check_batch(source: Value) -> None:
    if not source.shape or source.shape[0] is not None:
        raise GraphError(
            f"its input {source} has a fixed batch size; export it with an open batch axis, such as "
            "dynamic_shapes in torch.onnx.export"
        )


def _input_pixels(source: Value) -> Literal["unit", "levels"]:
    if source.dtype not in {_FLOAT32, _UINT8}:
        raise GraphError(f"its input is {source}, expected float32 in [0, 1] or uint8")
    return "unit" if source.dtype == _FLOAT32 else "levels"


# --- outputs -----------------------------------------------------------------------------------


def _posterior_names(graph: OnnxGraph, wished: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the outputs mu and ln sigma^2, or of the only output."""
    names = tuple(value.name for value in graph.outputs)
    if wished:
        missing = sorted(set(wished) - set(names))
        if missing or len(wished) > 2:
            raise GraphError(f"--encoder-outputs takes one or two of its outputs: {_listed(names)}")
        return wished
    if len(names) == 1:
        return names
    logvar = [name for name in names if any(word in name.lower() for word in _LOGVAR)]
    mu = [n for n in names if n not in logvar and any(word in n.lower() for word in _MU)]
    if len(mu) == len(logvar) == 1:
        return mu[0], logvar[0]
    if len(names) == 2 and not mu and not logvar:
        return names[0], names[1]
    raise GraphError(
        f"it has the outputs {_listed(names)}; say which are mu and ln sigma^2 by --encoder-outputs "
        "MU,LOGVAR"
    )


def _posterior(results: Sequence[Array], latent: int) -> Literal["mu_logvar", "joined", "point"]:
    """Return what an encoder gives."""
    shapes = [result.shape for result in results]
    if shapes == [(PROBED, latent)] * 2:
        return "mu_logvar"
    if shapes == [(PROBED, 2 * latent)]:
        return "joined"
    if shapes == [(PROBED, latent)]:
        return "point"
    raise GraphError(
        f"for {PROBED} images it gives {', '.join(map(str, shapes))}; expected mu and ln sigma^2 of "
        f"{latent} latent dimensions, in one output or two, or a latent alone"
    )


def _output_layout(result: Array, image: ImageShape) -> Layout:
    for layout, shape in _shapes(image).items():
        if result.shape == (PROBED, *shape):
            return layout
    raise GraphError(
        f"for {PROBED} latents it gives {result.shape}; expected images of {image.shape} "
        "(channels, height, width), as the encoder takes them"
    )


def _output_pixels(graph: OnnxGraph, result: Array) -> Pixels:
    """Return the kind of pixels that a decoder gives, by a result and by its last operator.

    Values outside of [0, 1] are logits, unless the graph ends in tanh.
    """
    if result.dtype == np.uint8:
        return "levels"
    if float(result.min()) >= 0 and float(result.max()) <= 1:
        return "unit"
    if not ends_in_tanh(graph):
        return "logits"
    return "signed" if float((result < _DARK).mean()) > _DARK_SHARE else "unit"


def _in_unit(result: Array, pixels: Pixels) -> Array:
    match pixels:
        case "unit":
            return np.clip(result, 0, 1).astype(np.float32)
        case "signed":
            return (np.clip(result, -1, 1) / 2 + 0.5).astype(np.float32)
        case "levels":
            return (result / _GREATEST_GREY).astype(np.float32)
        case "logits":
            return np.asarray(1 / (1 + np.exp(-np.clip(result, -80, 80))), np.float32)


# --- running -----------------------------------------------------------------------------------


def _probed(graph: OnnxGraph, rows: Array) -> list[Array]:
    """Run a graph for rows (PROBED, ...), and return its results (PROBED, ...).

    Raises GraphError if it takes too long, if a result has another type or number of rows or is not
    finite, or if a row's result depends on the other rows. The caller checks the other axes.
    """
    session = GraphSession(graph)
    name = graph.inputs[0].name if graph.inputs else ""
    if not name:
        raise GraphError("its outputs do not depend on its input")
    began = time.perf_counter()
    session.run({name: rows[:1]}, PROBE_S)
    elapsed_s = time.perf_counter() - began
    if elapsed_s > MAX_IMAGE_S:
        raise GraphError(
            f"it takes {elapsed_s:.1f} s for an image, at most {MAX_IMAGE_S:g} are allowed"
        )
    together = session.run({name: rows}, PROBE_S)
    for result in together:
        if result.dtype not in {np.dtype(np.float32), np.dtype(np.uint8)}:
            raise GraphError(f"it gives {result.dtype}, expected float32 or uint8")
        if not np.isfinite(result).all():
            raise GraphError("it gives NaN or infinity; train it again")
        if result.shape[:1] != (PROBED,):
            raise GraphError(f"for {PROBED} images it gives {result.shape}")
    for place in range(ALONE):
        alone = session.run({name: rows[place : place + 1]}, PROBE_S)
        for one, several in zip(alone, together, strict=True):
            size = max(1.0, float(np.abs(several.astype(np.float32)).max()))
            difference = np.abs(one[0].astype(np.float32) - several[place].astype(np.float32)).max()
            if float(difference) > TOLERANCE * size:
                raise GraphError(
                    "its result for an image depends on the rest of the batch; export it in evaluation "
                    "mode, in which batch norm uses its own statistics"
                )
    return together


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of the graph before the message of an error."""
    try:
        yield
    except GraphError as error:
        raise GraphError(f"{name}: {error}") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name[:80] for name in names[:10]) or "none"
