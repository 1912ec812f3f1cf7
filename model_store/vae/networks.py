"""Encoders and decoders.

An encoder maps images (batch, channels, height, width) to features (batch, features), from which
two linear layers of the VAE compute mu and logvar. A decoder maps latents (batch, latent) to logits
in the shape of the images.

`model_store.weight_shapes` derives the shapes of the weights from the spec; change both together.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from model_store.spec import MLP, Conv, ImageShape, ModelSpec, Residual


def build_encoder(spec: ModelSpec) -> tuple[nn.Module, int]:
    """Return the encoder and its number of features."""
    match spec.network:
        case MLP(hidden=hidden):
            return mlp_encoder(spec.image, hidden), hidden[-1]
        case Conv() as conv:
            return conv_encoder(spec.image, conv), conv.hidden
        case Residual() as residual:
            return residual_encoder(spec.image, residual), residual.hidden
        case other:
            raise TypeError(f"networks of the kind {other.kind} are not built here")


def build_decoder(spec: ModelSpec) -> nn.Module:
    """Return the decoder, which maps (batch, latent) to (batch, channels, height, width) logits."""
    match spec.network:
        case MLP(hidden=hidden):
            return mlp_decoder(spec.image, hidden, spec.latent)
        case Conv() as conv:
            return conv_decoder(spec.image, conv, spec.latent)
        case Residual() as residual:
            return residual_decoder(spec.image, residual, spec.latent)
        case other:
            raise TypeError(f"networks of the kind {other.kind} are not built here")


def mlp_encoder(image: ImageShape, hidden: tuple[int, ...]) -> nn.Module:
    """Build linear layers with ReLU on the flattened image."""
    return nn.Sequential(nn.Flatten(), *_linear_relu((image.pixels, *hidden)))


def mlp_decoder(image: ImageShape, hidden: tuple[int, ...], latent: int) -> nn.Module:
    """Build the mirror image of `mlp_encoder`, without an activation at the end."""
    sizes = (latent, *reversed(hidden))
    return nn.Sequential(
        *_linear_relu(sizes),
        nn.Linear(sizes[-1], image.pixels),
        nn.Unflatten(1, image.shape),
    )


def conv_encoder(image: ImageShape, conv: Conv) -> nn.Module:
    """Build convolutions of stride 2, each halving height and width, then one linear layer."""
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise((image.channels, *conv.channels)):
        layers.append(nn.Conv2d(c_in, c_out, conv.kernel, stride=2, padding=1))
        layers += _normalise(c_out, nn.ReLU, batch_norm=conv.batch_norm)
    c, h, w = _smallest(image, conv)
    return nn.Sequential(*layers, nn.Flatten(), *_linear_relu((c * h * w, conv.hidden)))


def conv_decoder(image: ImageShape, conv: Conv, latent: int) -> nn.Module:
    """Build the mirror image of `conv_encoder`: linear layers, then transposed convolutions."""
    c, h, w = _smallest(image, conv)
    layers: list[nn.Module] = [
        *_linear_relu((latent, conv.hidden)),
        nn.Linear(conv.hidden, c * h * w),
        nn.Unflatten(1, (c, h, w)),
    ]
    for c_in, upsample in _upsampling(image, conv):
        layers += [*_normalise(c_in, nn.ReLU, batch_norm=conv.batch_norm), upsample]
    return nn.Sequential(*layers)


class ResidualBlock(nn.Module):
    """h + f(h); (batch, channels, height, width) -> same shape. f is 0 before training.

    He et al. 2016, "Identity mappings in deep residual networks", figure 1b.
    """

    def __init__(self, channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.change = nn.Sequential(
            *_normalise(channels, nn.SiLU, batch_norm=batch_norm),
            nn.Conv2d(channels, channels, 3, padding=1),
            *_normalise(channels, nn.SiLU, batch_norm=batch_norm),
            last,
        )

    def forward(self, h: Tensor) -> Tensor:
        """Add the change to the input."""
        return torch.add(h, self.change(h))


def residual_encoder(image: ImageShape, net: Residual) -> nn.Module:
    """Build stride-2 convolutions with residual blocks after each, then one linear layer."""
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise((image.channels, *net.channels)):
        if layers:
            layers += _normalise(c_in, nn.SiLU, batch_norm=net.batch_norm)
        layers.append(nn.Conv2d(c_in, c_out, net.kernel, stride=2, padding=1))
        layers += _blocks(net, c_out, net.encoder_blocks)
    c, h, w = _smallest(image, net)
    return nn.Sequential(
        *layers,
        *_normalise(c, nn.SiLU, batch_norm=net.batch_norm),
        nn.Flatten(),
        nn.Linear(c * h * w, net.hidden),
        nn.SiLU(),
    )


def residual_decoder(image: ImageShape, net: Residual, latent: int) -> nn.Module:
    """Build linear layers, then transposed convolutions with residual blocks before each."""
    c, h, w = _smallest(image, net)
    layers: list[nn.Module] = [
        nn.Linear(latent, net.hidden),
        nn.SiLU(),
        nn.Linear(net.hidden, c * h * w),
        nn.Unflatten(1, (c, h, w)),
    ]
    for c_in, upsample in _upsampling(image, net):
        layers += _blocks(net, c_in, net.decoder_blocks)
        layers += [*_normalise(c_in, nn.SiLU, batch_norm=net.batch_norm), upsample]
    return nn.Sequential(*layers)


def _blocks(net: Residual, channels: int, blocks: int) -> list[nn.Module]:
    return [ResidualBlock(channels, batch_norm=net.batch_norm) for _ in range(blocks)]


def _upsampling(
    image: ImageShape, net: Conv | Residual
) -> Iterator[tuple[int, nn.ConvTranspose2d]]:
    """Yield the transposed convolutions of a decoder, smallest first, with their input channels."""
    channels = (*reversed(net.channels), image.channels)
    heights = reversed(net.sizes(image.height))
    widths = reversed(net.sizes(image.width))
    steps = zip(pairwise(channels), pairwise(heights), pairwise(widths), strict=True)
    for (c_in, c_out), (h_in, h_out), (w_in, w_out) in steps:
        missing = (_missing(net, h_in, h_out), _missing(net, w_in, w_out))
        yield (
            c_in,
            nn.ConvTranspose2d(
                c_in, c_out, net.kernel, stride=2, padding=1, output_padding=missing
            ),
        )


def _normalise(
    channels: int, activation: type[nn.ReLU | nn.SiLU], *, batch_norm: bool
) -> list[nn.Module]:
    """Return the layers between two convolutions: batch norm if `batch_norm`, and activation."""
    return [*([nn.BatchNorm2d(channels)] if batch_norm else []), activation()]


def _missing(net: Conv | Residual, side_in: int, side_out: int) -> int:
    """Return the output padding with which a transposed convolution reaches `side_out`."""
    return side_out - (2 * (side_in - 1) - 2 + net.kernel)


def _linear_relu(sizes: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return layers


def _smallest(image: ImageShape, net: Conv | Residual) -> tuple[int, int, int]:
    """Return the shape of the last feature map."""
    return net.channels[-1], net.sizes(image.height)[-1], net.sizes(image.width)[-1]
