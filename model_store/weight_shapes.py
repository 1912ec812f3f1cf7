"""The names, shapes and types of a model's weights, derived from its spec without torch.

They equal those of `VAE(spec).state_dict()`; graphs of ONNX are two arrays of bytes. Names count the layers of each `nn.Sequential`, the
ones without weights included: `encoder.1.weight` follows the `nn.Flatten` at place 0.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

from model_store.spec import MLP, Conv, Flow, ImageShape, ModelSpec, Onnx, Package, Residual


class WeightShape(NamedTuple):
    """Shape and type of one weight, as the network computes with it."""

    shape: tuple[int, ...]
    dtype: Literal["float32", "int64", "uint8"] = "float32"

    def __str__(self) -> str:
        return f"{self.shape} {self.dtype}"


Shapes = Mapping[str, WeightShape]

_NO_WEIGHTS: Shapes = {}
"""An activation, `nn.Flatten` or `nn.Unflatten`."""


def weight_shapes(spec: ModelSpec) -> dict[str, WeightShape]:
    """Return name -> shape and type of every weight that the spec requires.

    Raises TypeError for the network of a package.
    """
    match spec.network:
        case Onnx(encoder_bytes=encoder_bytes, decoder_bytes=decoder_bytes):
            return {
                "encoder.onnx": WeightShape((encoder_bytes,), "uint8"),
                "decoder.onnx": WeightShape((decoder_bytes,), "uint8"),
            }
        case Package(name=name):
            raise TypeError(f"only its package has the shapes of the network {name}")
        case _:
            return _own_shapes(spec, spec.network)


def _own_shapes(spec: ModelSpec, network: MLP | Conv | Residual) -> dict[str, WeightShape]:
    """Return the weights of a network of model_store.vae."""
    encoder, decoder, features = _trunks(spec, network)
    parts: dict[str, Shapes] = {
        "encoder": _sequence(encoder),
        "to_mu": _linear(features, spec.latent),
        "to_logvar": _linear(features, spec.latent),
        "decoder": _sequence(decoder),
    }
    if spec.prior is not None:
        parts["flow.couplings"] = _sequence(_couplings(spec.prior, spec.latent))
    shapes = _joined(parts)
    if spec.likelihood == "discretised_logistic":
        shapes["log_scale"] = WeightShape((spec.image.channels, 1, 1))
    return shapes


def _trunks(
    spec: ModelSpec, network: MLP | Conv | Residual
) -> tuple[list[Shapes], list[Shapes], int]:
    """Return the layers of encoder and decoder, and the number of features between them."""
    match network:
        case MLP(hidden=hidden):
            encoder = [_NO_WEIGHTS, *_linear_and_activation((spec.image.pixels, *hidden))]
            sizes = (spec.latent, *reversed(hidden))
            decoder = [*_linear_and_activation(sizes), _linear(sizes[-1], spec.image.pixels)]
            return encoder, decoder, hidden[-1]
        case Conv() as conv:
            return _conv_encoder(spec.image, conv), _conv_decoder(spec, conv), conv.hidden
        case Residual() as net:
            return _residual_encoder(spec.image, net), _residual_decoder(spec, net), net.hidden


def _conv_encoder(image: ImageShape, net: Conv) -> list[Shapes]:
    layers: list[Shapes] = []
    for c_in, c_out in pairwise((image.channels, *net.channels)):
        layers += [_conv(c_in, c_out, net.kernel), *_norm_and_activation(net, c_out)]
    return [*layers, _NO_WEIGHTS, *_linear_and_activation((_smallest(image, net), net.hidden))]


def _conv_decoder(spec: ModelSpec, net: Conv) -> list[Shapes]:
    layers = _before_upsampling(spec, net)
    for c_in, c_out in _upsampled_channels(spec.image, net):
        layers += [*_norm_and_activation(net, c_in), _transposed_conv(c_in, c_out, net.kernel)]
    return layers


def _residual_encoder(image: ImageShape, net: Residual) -> list[Shapes]:
    layers: list[Shapes] = []
    for c_in, c_out in pairwise((image.channels, *net.channels)):
        if layers:
            layers += _norm_and_activation(net, c_in)
        layers.append(_conv(c_in, c_out, net.kernel))
        layers += [_residual_block(net, c_out)] * net.encoder_blocks
    return [
        *layers,
        *_norm_and_activation(net, net.channels[-1]),
        _NO_WEIGHTS,
        *_linear_and_activation((_smallest(image, net), net.hidden)),
    ]


def _residual_decoder(spec: ModelSpec, net: Residual) -> list[Shapes]:
    layers = _before_upsampling(spec, net)
    for c_in, c_out in _upsampled_channels(spec.image, net):
        layers += [_residual_block(net, c_in)] * net.decoder_blocks
        layers += [*_norm_and_activation(net, c_in), _transposed_conv(c_in, c_out, net.kernel)]
    return layers


def _residual_block(net: Residual, channels: int) -> Shapes:
    conv = _conv(channels, channels, 3)
    around = _norm_and_activation(net, channels)
    return _joined({"change": _sequence([*around, conv, *around, conv])})


def _before_upsampling(spec: ModelSpec, net: Conv | Residual) -> list[Shapes]:
    return [
        *_linear_and_activation((spec.latent, net.hidden)),
        _linear(net.hidden, _smallest(spec.image, net)),
        _NO_WEIGHTS,
    ]


def _upsampled_channels(image: ImageShape, net: Conv | Residual) -> Iterable[tuple[int, int]]:
    return pairwise((*reversed(net.channels), image.channels))


def _smallest(image: ImageShape, net: Conv | Residual) -> int:
    """Return the number of values in the last feature map."""
    return net.channels[-1] * net.sizes(image.height)[-1] * net.sizes(image.width)[-1]


def _couplings(flow: Flow, latent: int) -> list[Shapes]:
    halves = ((latent + 1) // 2, latent // 2)  # dimensions at even and at odd places
    couplings: list[Shapes] = []
    for place in range(flow.couplings):
        kept, changed = halves if place % 2 == 0 else reversed(halves)
        layers = _linear_and_activation((kept, flow.hidden, flow.hidden))
        couplings.append(_joined({"net": _sequence([*layers, _linear(flow.hidden, 2 * changed)])}))
    return couplings


# --- layers ------------------------------------------------------------------------------------


def _linear(n_in: int, n_out: int) -> Shapes:
    return {"weight": WeightShape((n_out, n_in)), "bias": WeightShape((n_out,))}


def _linear_and_activation(sizes: tuple[int, ...]) -> list[Shapes]:
    return [layer for pair in pairwise(sizes) for layer in (_linear(*pair), _NO_WEIGHTS)]


def _conv(c_in: int, c_out: int, kernel: int) -> Shapes:
    return {"weight": WeightShape((c_out, c_in, kernel, kernel)), "bias": WeightShape((c_out,))}


def _transposed_conv(c_in: int, c_out: int, kernel: int) -> Shapes:
    return {"weight": WeightShape((c_in, c_out, kernel, kernel)), "bias": WeightShape((c_out,))}


def _norm_and_activation(net: Conv | Residual, channels: int) -> list[Shapes]:
    return [_batch_norm(channels), _NO_WEIGHTS] if net.batch_norm else [_NO_WEIGHTS]


def _batch_norm(channels: int) -> Shapes:
    per_channel = ("weight", "bias", "running_mean", "running_var")
    return {
        **dict.fromkeys(per_channel, WeightShape((channels,))),
        "num_batches_tracked": WeightShape((), "int64"),
    }


def _sequence(layers: Iterable[Shapes]) -> Shapes:
    return _joined({str(place): layer for place, layer in enumerate(layers)})


def _joined(parts: Mapping[str, Shapes]) -> dict[str, WeightShape]:
    return {f"{part}.{name}": shape for part, all_ in parts.items() for name, shape in all_.items()}
