"""The weights of PyTorch-VAE's convolutional networks as two ONNX graphs.

https://github.com/AntixK/PyTorch-VAE, models/vanilla_vae.py. BetaVAE, DIPVAE, IWAE, LogCoshVAE and others
there have the same network: convolutions of stride 2, each with batch norm and leaky ReLU, to a feature map of
2x2; two linear layers; and from a linear layer back by transposed convolutions, to a convolution and tanh. The
batch norms are folded into the convolutions. Sizes are those of the weights.

Networks of the store have neither leaky ReLU nor a convolution after the last transposed one, so the weights are
not converted into one of them.
"""

import math
from collections.abc import Mapping

import numpy as np

from model_store.graphs.graph import Array
from model_store.importing.building import GraphBuilder, integer, ints, real
from model_store.importing.state_dict import Doubles, StateDict

_KERNEL = 3
_SLOPE = 0.01
"""Slope of torch's leaky ReLU below 0."""


def pytorch_vae_graphs(tensors: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """Return encoder and decoder; raises ValueError if a tensor is missing or other.

    Names are those of the network's state_dict, also with the prefix `model.` of a checkpoint of Lightning.
    Pixels are what the network was trained on: tanh gives -1 to 1.
    """
    state = StateDict(tensors)
    depth = 0
    while f"encoder.{depth}.0.weight" in state:
        depth += 1
    with np.errstate(over="ignore", invalid="ignore"):  # the reader of graphs refuses infinity
        convolutions = _convolutions(state, depth)
        mu = state.take_linear("fc_mu")
        logvar = state.take_linear("fc_var", mu[0].shape[1])
        side = _small_side(mu[0].shape[1], len(convolutions[-1][1]))
        first = state.take_linear("decoder_input", len(mu[0]))
        upward = _transposed_convolutions(state, depth, len(first[0]) // side**2)
        last = state.take_convolution("final_layer.3", len(upward[-1][1]), _KERNEL)
        state.check_that_all_were_taken()
        if len(first[0]) != side**2 * len(upward[0][0]):
            raise ValueError("decoder_input does not make feature maps of the encoder's size")
        image = (convolutions[0][0].shape[1], side << depth, side << depth)
        return (
            _encoder(convolutions, mu, logvar, image),
            _decoder(first, upward, last, side, image),
        )


Layer = tuple[Doubles, Doubles]
"""Weight and bias."""


def _convolutions(state: StateDict, depth: int) -> list[Layer]:
    """Return the layers of the encoder, with their batch norms."""
    layers: list[Layer] = []
    for place in range(max(1, depth)):
        name = f"encoder.{place}"
        inputs = len(layers[-1][1]) if layers else None
        weight, bias = state.take_convolution(f"{name}.0", inputs, _KERNEL)
        scale, shift = state.take_batch_norm(f"{name}.1", len(bias))
        layers.append((weight * scale[:, None, None, None], bias * scale + shift))
    return layers


def _transposed_convolutions(state: StateDict, depth: int, channels: int) -> list[Layer]:
    """Return the layers of the decoder that double the sides, with their batch norms."""
    layers: list[Layer] = []
    for name in [*(f"decoder.{place}" for place in range(depth - 1)), "final_layer"]:
        weight, bias = state.take_convolution(f"{name}.0", channels, _KERNEL, transposed=True)
        channels = len(bias)
        scale, shift = state.take_batch_norm(f"{name}.1", channels)
        layers.append((weight * scale[None, :, None, None], bias * scale + shift))
    return layers


def _small_side(features: int, channels: int) -> int:
    """Return the side of the smallest feature map."""
    side = math.isqrt(features // channels)
    if side == 0 or side**2 * channels != features:
        raise ValueError(
            f"fc_mu takes {features} features, which are no square maps of the encoder's {channels} channels"
        )
    return side


def _encoder(
    convolutions: list[Layer], mu: Layer, logvar: Layer, image: tuple[int, int, int]
) -> bytes:
    graph = _Builder("image", image)
    value = "image"
    for layer in convolutions:
        value = graph.leaky_relu(graph.convolution(value, layer, stride=2))
    value = graph.add("Flatten", [value])
    graph.linear(value, mu, "mu")
    graph.linear(value, logvar, "logvar")
    latent = len(mu[1])
    return graph.file({"mu": (latent,), "logvar": (latent,)})


def _decoder(
    first: Layer, upward: list[Layer], last: Layer, side: int, image: tuple[int, int, int]
) -> bytes:
    graph = _Builder("latents", (first[0].shape[1],))
    value = graph.reshape(graph.linear("latents", first), (len(upward[0][0]), side, side))
    for layer in upward:
        value = graph.leaky_relu(graph.transposed_convolution(value, layer))
    graph.add("Tanh", [graph.convolution(value, last, stride=1)], output="image")
    return graph.file({"image": (len(last[1]), *image[1:])})


class _Builder(GraphBuilder):
    """A graph of torch's layers."""

    def linear(self, value: str, layer: Layer, output: str = "") -> str:
        return self.add("Gemm", [value, *self._parts(layer)], {"transB": integer(1)}, output)

    def convolution(self, value: str, layer: Layer, stride: int) -> str:
        attributes = {"strides": ints(stride, stride), "pads": ints(1, 1, 1, 1)}
        return self.add("Conv", [value, *self._parts(layer)], attributes)

    def transposed_convolution(self, value: str, layer: Layer) -> str:
        """Add a transposed convolution that doubles the sides."""
        attributes = {
            "strides": ints(2, 2),
            "pads": ints(1, 1, 1, 1),
            "output_padding": ints(1, 1),
        }
        return self.add("ConvTranspose", [value, *self._parts(layer)], attributes)

    def leaky_relu(self, value: str) -> str:
        return self.add("LeakyRelu", [value], {"alpha": real(_SLOPE)})

    def _parts(self, layer: Layer) -> list[str]:
        return [self.constant(array.astype(np.float32)) for array in layer]
