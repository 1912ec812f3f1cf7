"""The weights of Keras' example "Variational AutoEncoder" as two ONNX graphs.

https://keras.io/examples/generative/vae: two convolutions of stride 2, a dense layer, z_mean and z_log_var; a
dense layer, two transposed convolutions of stride 2 and one of stride 1, with the padding `same`. Sizes are
those of the weights. The padding `same` of a kernel of 3 and a stride of 2 is 0 before and 1 behind, which
networks of the store do not have, so the example is not converted into one of them.
"""

import math
import re
from collections.abc import Mapping

import numpy as np

from model_store.graphs.graph import Array
from model_store.importing.building import GraphBuilder, ints

_ENCODER = ("conv2d", "conv2d", "dense", "z_mean", "z_log_var")
_DECODER = ("dense", "conv2d_transpose", "conv2d_transpose", "conv2d_transpose")
_LAYER = re.compile(
    r"(?:.*/)?(?P<kind>[a-z][a-z0-9_]*?)(?:_(?P<number>[0-9]+))?/(?P<part>kernel|bias)"
)

Layers = dict[str, list[dict[str, Array]]]


def keras_graphs(tensors: Mapping[str, Array]) -> tuple[bytes, bytes]:
    """Return encoder and decoder of the example; raises ValueError if a tensor is missing or other.

    Names are the paths of Keras' variables, such as conv2d_1/kernel; several layers of a kind are those of
    the encoder, then those of the decoder, in the order of their numbers.
    """
    layers = _layers(tensors)
    conv1, conv2 = layers["conv2d"]
    hidden, first = layers["dense"]
    up = layers["conv2d_transpose"]
    latent, side = len(first["kernel"]), _small_side(first, up[0])
    encoder = _Builder("image", (4 * side, 4 * side, conv1["kernel"].shape[2]))
    value = encoder.transpose("image", (0, 3, 1, 2))
    for layer in (conv1, conv2):
        value = encoder.add("Relu", [encoder.convolution(value, layer)])
    value = encoder.add("Flatten", [encoder.transpose(value, (0, 2, 3, 1))])
    value = encoder.add("Relu", [encoder.dense(value, hidden)])
    for name in ("z_mean", "z_log_var"):
        encoder.dense(value, layers[name][0], output=name)
    decoder = _Builder("latents", (latent,))
    value = decoder.add("Relu", [decoder.dense("latents", first)])
    value = decoder.reshape(value, (side, side, up[0]["kernel"].shape[3]))
    value = decoder.transpose(value, (0, 3, 1, 2))
    for layer in up[:2]:
        value = decoder.add("Relu", [decoder.transposed_convolution(value, layer, 2)])
    value = decoder.add("Sigmoid", [decoder.transposed_convolution(value, up[2], 1)])
    decoder.transpose(value, (0, 2, 3, 1), output="image")
    image = (4 * side, 4 * side, up[2]["kernel"].shape[2])
    return (
        encoder.file({"z_mean": (latent,), "z_log_var": (latent,)}),
        decoder.file({"image": image}),
    )


def _layers(tensors: Mapping[str, Array]) -> Layers:
    """Return the layers of each kind in the order of their numbers; raises ValueError."""
    numbered: dict[str, dict[int, dict[str, Array]]] = {}
    for name, array in tensors.items():
        match = _LAYER.fullmatch(name)
        if match is None or match["kind"] not in {*_ENCODER, *_DECODER}:
            raise ValueError(f"tensor {name[:80]} is not part of the layout")
        layer = numbered.setdefault(match["kind"], {}).setdefault(int(match["number"] or 0), {})
        layer[match["part"]] = array.astype(np.float32)
    expected = (*_ENCODER, *_DECODER)
    result: Layers = {}
    for kind in dict.fromkeys(expected):
        layers = [each for _, each in sorted(numbered.get(kind, {}).items())]
        rank = 4 if kind.startswith("conv2d") else 2
        complete = [
            each
            for each in layers
            if each.keys() == {"kernel", "bias"} and each["kernel"].ndim == rank
        ]
        if len(complete) != expected.count(kind) or len(complete) != len(layers):
            raise ValueError(
                f"the layout has {expected.count(kind)} layers {kind} with kernel and bias of {rank} "
                f"axes, the file has {len(complete)} such and {len(layers) - len(complete)} other ones"
            )
        result[kind] = complete
    return result


def _small_side(first: dict[str, Array], up: dict[str, Array]) -> int:
    """Return the side of the smallest feature map, from the decoder's first two layers."""
    channels = up["kernel"].shape[3]
    side = math.isqrt(first["kernel"].shape[1] // max(1, channels))
    if side * side * channels != first["kernel"].shape[1]:
        raise ValueError("the decoder's first layer does not make square feature maps")
    return side


class _Builder(GraphBuilder):
    """A graph of Keras' layers, whose values have the axes (batch, channels, height, width)."""

    def dense(self, value: str, layer: dict[str, Array], output: str = "") -> str:
        parts = [self.constant(layer[part]) for part in ("kernel", "bias")]
        return self.add("Gemm", [value, *parts], output=output)

    def convolution(self, value: str, layer: dict[str, Array]) -> str:
        """Add a convolution of stride 2 with the padding `same` for even sides."""
        return self._filters("Conv", value, layer, 2)

    def transposed_convolution(self, value: str, layer: dict[str, Array], stride: int) -> str:
        """Add a transposed convolution that multiplies the sides by the stride."""
        return self._filters("ConvTranspose", value, layer, stride)

    def _filters(self, operator: str, value: str, layer: dict[str, Array], stride: int) -> str:
        kernel = layer["kernel"]  # (height, width, in, out), or out, in for transposed ones
        missing = kernel.shape[0] - stride
        pads = (missing // 2,) * 2 + (missing - missing // 2,) * 2
        attributes = {"strides": ints(stride, stride), "pads": ints(*pads)}
        parts = [self.constant(kernel.transpose(3, 2, 0, 1)), self.constant(layer["bias"])]
        return self.add(operator, [value, *parts], attributes)
