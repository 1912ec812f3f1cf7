"""An encoder and a decoder of ONNX as a VAE, between numpy arrays whose first axis is the batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from model_store.errors import GraphError
from model_store.graphs.graph import Array, OnnxGraph
from model_store.graphs.pair import DECODER, ENCODER, checked_graphs
from model_store.graphs.sessions import GraphSession
from model_store.spec import ImageShape, Layout, ModelSpec, Onnx

Floats = NDArray[np.float32]

POINT_LOGVAR = -9.0
"""ln sigma^2 of an encoder that returns a latent alone: sigma is 0.011, a point for most purposes."""
MAX_LOGIT = 16.0
"""Logits are clamped to +-16, so that no pixel has a likelihood of 0."""
GREATEST_GREY = 255
PROBE_S = 20.0
"""Time (s) that a graph may take for two images when it is loaded."""


class GraphNetwork:
    """The graphs of a version; raises GraphError unless they compute what the spec says.

    Both are run once for two images: their results have to have the right shapes, and to be finite.
    """

    def __init__(self, spec: ModelSpec, encoder: bytes, decoder: bytes, threads: int = 1) -> None:
        self.spec = spec
        self._onnx = onnx_of(spec)
        graphs = checked_graphs(encoder, decoder)
        self._inputs = [graph.inputs[0].name for graph in graphs]
        with_names = zip((ENCODER, DECODER), graphs, strict=True)
        self._encoder, self._decoder = (_session(name, each, threads) for name, each in with_names)
        self._probe()

    def encode(self, x: Floats, limit_s: float | None = None) -> tuple[Floats, Floats]:
        """Return mu and ln sigma^2, both (batch, latent), of x (batch, channels, height, width) in [0, 1].

        Raises GraphError if the graph fails, or runs longer than `limit_s` seconds.
        """
        results = self._encoder.run({self._inputs[0]: self._to_encoder(x)}, limit_s)
        latent = self.spec.latent
        match self._onnx.posterior:
            case "mu_logvar":
                mu, logvar = results
            case "joined":
                mu, logvar = results[0][..., :latent], results[0][..., latent:]
            case "point":
                mu, logvar = results[0], np.full_like(results[0], POINT_LOGVAR)
        return _floats(mu), _floats(logvar)

    def decode(self, z: Floats, limit_s: float | None = None) -> Floats:
        """Return mean images (batch, channels, height, width) in [0, 1] of z (batch, latent).

        Raises GraphError if the graph fails, or runs longer than `limit_s` seconds.
        """
        result = self._decode(z, limit_s)
        match self._onnx.decoder_pixels:
            case "logits":
                return np.asarray(1 / (1 + np.exp(-np.clip(result, -80, 80))), np.float32)
            case "levels":
                return result / np.float32(GREATEST_GREY)
            case "unit":
                return np.clip(result, 0, 1)

    def logits(self, z: Floats) -> Floats:
        """Return logits (batch, channels, height, width), clamped to +-16, of z (batch, latent)."""
        if self._onnx.decoder_pixels == "logits":
            return np.clip(self._decode(z), -MAX_LOGIT, MAX_LOGIT)
        mean = self.decode(z).astype(np.float64)
        with np.errstate(divide="ignore"):
            logits = np.log(mean) - np.log1p(-mean)
        return np.asarray(np.clip(logits, -MAX_LOGIT, MAX_LOGIT), np.float32)

    def log_likelihood(self, x: Floats, z: Floats) -> Floats:
        """Return ln p(x | z) of each pair, (batch,), nats: pixels of x are probabilities."""
        logits = self.logits(z).astype(np.float64)
        nats = x * logits - np.logaddexp(0, logits)
        return np.asarray(nats.reshape(len(x), -1).sum(axis=1), np.float32)

    def _decode(self, z: Floats, limit_s: float | None = None) -> Floats:
        (result,) = self._decoder.run({self._inputs[1]: z}, limit_s)
        image, layout = self.spec.image, self._onnx.decoder_layout
        return _floats(channels_first(np.asarray(result), image, layout))

    def _to_encoder(self, x: Floats) -> Array:
        images: Array = in_layout(x, self._onnx.encoder_layout)
        if self._onnx.encoder_pixels == "levels":
            return np.rint(images * np.float32(GREATEST_GREY)).astype(np.uint8)
        return images

    def _probe(self) -> None:
        """Run both graphs for two images; raises GraphError."""
        image = self.spec.image
        ramp = np.linspace(0, 1, image.pixels, dtype=np.float32).reshape(1, *image.shape)
        x = np.concatenate([ramp, np.zeros_like(ramp)])
        latents = (2, self.spec.latent)
        with _named(ENCODER):
            mu, logvar = self.encode(x, PROBE_S)
            _check(mu, latents)
            _check(logvar, latents)
        with _named(DECODER):
            _check(self.decode(mu, PROBE_S), (2, *image.shape))


def load_graphs(
    ref: str, spec: ModelSpec, weights: Mapping[str, Array], threads: int = 1
) -> GraphNetwork:
    """Return the graphs of a stored version; raises GraphError, which names the version."""
    try:
        return GraphNetwork(spec, weights[ENCODER].tobytes(), weights[DECODER].tobytes(), threads)
    except GraphError as error:
        raise GraphError(f"{ref}: {error}") from error


def onnx_of(spec: ModelSpec) -> Onnx:
    """Return the network of a spec, whose kind the caller has checked to be `onnx`."""
    assert isinstance(spec.network, Onnx)  # noqa: S101 - the caller chooses by the kind
    return spec.network


def in_layout(x: Array, layout: Layout) -> Array:
    """Bring images (batch, channels, height, width) into a layout."""
    match layout:
        case "channels_first":
            return x
        case "channels_last":
            return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        case "plane":
            return x[:, 0]
        case "flat":
            return x.reshape(len(x), -1)


def channels_first(x: Array, image: ImageShape, layout: Layout) -> Array:
    """Bring images in a layout into (batch, channels, height, width); raises ValueError."""
    match layout:
        case "channels_last":
            return np.ascontiguousarray(x.transpose(0, 3, 1, 2))
        case "channels_first" | "plane" | "flat":
            return x.reshape(len(x), *image.shape)


def _session(name: str, graph: OnnxGraph, threads: int) -> GraphSession:
    with _named(name):
        return GraphSession(graph, threads)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Put the name of the graph before the message of an error."""
    try:
        yield
    except GraphError as error:
        raise GraphError(f"{name}: {error}") from error
    except (TypeError, ValueError) as error:
        raise GraphError(f"{name}: its result is not what the spec says: {error}") from error


def _check(result: Array, shape: tuple[int, ...]) -> None:
    if result.shape != shape:
        raise GraphError(f"it gives {result.shape[1:]} for an image, the spec asks for {shape[1:]}")
    if not np.isfinite(result).all():
        raise GraphError("it gives NaN or infinity; train it again")


def _floats(array: Array) -> Floats:
    return np.ascontiguousarray(array, np.float32)
