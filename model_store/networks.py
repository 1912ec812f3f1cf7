"""Encoders and decoders: small modules without any knowledge of training or serving.

An encoder maps images (batch, channels, height, width) to features (batch, features); the VAE
puts its two linear heads, mu and logvar, on them. A decoder maps latents (batch, latent) to
logits in the shape of the images.
"""

from itertools import pairwise

from torch import nn

from model_store.spec import MLP, Conv, ImageShape, ModelSpec


def build_encoder(spec: ModelSpec) -> tuple[nn.Module, int]:
    """The encoder's trunk and the number of features that it gives."""
    match spec.network:
        case MLP(hidden=hidden):
            return mlp_encoder(spec.image, hidden), hidden[-1]
        case Conv() as conv:
            return conv_encoder(spec.image, conv), conv.hidden


def build_decoder(spec: ModelSpec) -> nn.Module:
    """(batch, latent) -> (batch, channels, height, width), logits."""
    match spec.network:
        case MLP(hidden=hidden):
            return mlp_decoder(spec.image, hidden, spec.latent)
        case Conv() as conv:
            return conv_decoder(spec.image, conv, spec.latent)


def mlp_encoder(image: ImageShape, hidden: tuple[int, ...]) -> nn.Module:
    """Flatten, then linear layers with ReLU."""
    return nn.Sequential(nn.Flatten(), *_linear_relu((image.pixels, *hidden)))


def mlp_decoder(image: ImageShape, hidden: tuple[int, ...], latent: int) -> nn.Module:
    """The mirror image of `mlp_encoder`, without a nonlinearity at the end."""
    sizes = (latent, *reversed(hidden))
    return nn.Sequential(
        *_linear_relu(sizes),
        nn.Linear(sizes[-1], image.pixels),
        nn.Unflatten(1, image.shape),
    )


def conv_encoder(image: ImageShape, conv: Conv) -> nn.Module:
    """Convolutions of stride 2, each halving height and width, then one linear layer."""
    layers: list[nn.Module] = []
    for c_in, c_out in pairwise((image.channels, *conv.channels)):
        layers.append(nn.Conv2d(c_in, c_out, conv.kernel, stride=2, padding=1))
        layers += _normalise_and_rectify(conv, c_out)
    c, h, w = _smallest(image, conv)
    return nn.Sequential(*layers, nn.Flatten(), *_linear_relu((c * h * w, conv.hidden)))


def conv_decoder(image: ImageShape, conv: Conv, latent: int) -> nn.Module:
    """The mirror image of `conv_encoder`: linear layers, then transposed convolutions."""
    c, h, w = _smallest(image, conv)
    layers: list[nn.Module] = [
        *_linear_relu((latent, conv.hidden)),
        nn.Linear(conv.hidden, c * h * w),
        nn.Unflatten(1, (c, h, w)),
    ]
    channels = (*reversed(conv.channels), image.channels)
    heights = reversed(conv.sizes(image.height))
    widths = reversed(conv.sizes(image.width))
    steps = zip(pairwise(channels), pairwise(heights), pairwise(widths), strict=True)
    for (c_in, c_out), (h_in, h_out), (w_in, w_out) in steps:
        layers += _normalise_and_rectify(conv, c_in)
        layers.append(
            nn.ConvTranspose2d(
                c_in,
                c_out,
                conv.kernel,
                stride=2,
                padding=1,
                output_padding=(_missing(conv, h_in, h_out), _missing(conv, w_in, w_out)),
            )
        )
    return nn.Sequential(*layers)


def _normalise_and_rectify(conv: Conv, channels: int) -> list[nn.Module]:
    return [*([nn.BatchNorm2d(channels)] if conv.batch_norm else []), nn.ReLU()]


def _missing(conv: Conv, side_in: int, side_out: int) -> int:
    """Rows that a transposed convolution must add for the size that its mirror image had."""
    return side_out - (2 * (side_in - 1) - 2 + conv.kernel)


def _linear_relu(sizes: tuple[int, ...]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return layers


def _smallest(image: ImageShape, conv: Conv) -> tuple[int, int, int]:
    """Shape of the last feature map."""
    return conv.channels[-1], conv.sizes(image.height)[-1], conv.sizes(image.width)[-1]
