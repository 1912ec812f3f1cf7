"""A VAE made ready to run: the same function in fewer and cheaper operations.

    batch norm          folded into the layer before it
    ReLU                in place, where nothing else can see what it overwrites
    last deconvolution  on a CPU, where it gives one channel or three: a matrix product and `fold`

The numbers differ from the plain network's in the last bits, always in the same way; ARITHMETIC
names that way, and changes whenever other bits may come out. What each step buys: DECISIONS.md.
"""

import copy
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model_store.vae import VAE

ARITHMETIC = "folded-1"

_FEW_CHANNELS = 4
"""Up to here oneDNN's deconvolution, made for many channels, is slower than the product."""


def ready_to_run(vae: VAE, device: torch.device) -> VAE:
    """A copy on this device, in evaluation mode, that computes the same."""
    ready = copy.deepcopy(vae).eval().to(device)
    for name, module in reversed(list(ready.named_modules())):  # what is inside comes first
        if type(module) is nn.Sequential:
            parent, _, own_name = name.rpartition(".")
            layers = _in_place(_folded(list(module)))
            if device.type == "cpu":
                layers = [_as_product(layer) for layer in layers]
            setattr(ready.get_submodule(parent), own_name, nn.Sequential(*layers))
    return ready.requires_grad_(False)


class ProductDeconvolution(nn.Module):
    """A transposed convolution as one matrix product for each image, whose columns `fold` adds up.

    (batch, channels, height, width) -> what nn.ConvTranspose2d gives, up to rounding.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        c_in, c_out, *kernel = layer.weight.shape
        self.register_buffer("products", layer.weight.detach().reshape(c_in, -1).t().contiguous())
        bias = torch.zeros(c_out) if layer.bias is None else layer.bias.detach()
        self.register_buffer("bias", bias.view(1, c_out, 1, 1))
        self._kernel = (kernel[0], kernel[1])
        self._stride = cast(tuple[int, int], layer.stride)
        self._padding = cast(tuple[int, int], layer.padding)
        self._output_padding = cast(tuple[int, int], layer.output_padding)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply, fold, add the bias."""
        batch, channels, height, width = x.shape
        columns = torch.matmul(cast(Tensor, self.products), x.reshape(batch, channels, -1))
        size = (self._side(0, height), self._side(1, width))
        image = F.fold(columns, size, self._kernel, padding=self._padding, stride=self._stride)
        return image.add_(cast(Tensor, self.bias))

    def _side(self, axis: int, side: int) -> int:
        around = self._kernel[axis] - 2 * self._padding[axis] + self._output_padding[axis]
        return (side - 1) * self._stride[axis] + around


def _folded(layers: list[nn.Module]) -> list[nn.Module]:
    """The layers without batch norm after a convolution, or after a linear layer's feature maps."""
    kept: list[nn.Module] = []
    for layer in layers:
        before = kept[-1] if kept else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.ConvTranspose2d):
            transposed = isinstance(before, nn.ConvTranspose2d)
            kept[-1] = fuse_conv_bn_eval(before, layer, transpose=transposed)
        elif (
            isinstance(layer, nn.BatchNorm2d)
            and isinstance(before, nn.Unflatten)
            and isinstance(kept[-2], nn.Linear)
        ):
            kept[-2] = _fold_into_linear(kept[-2], layer)
        else:
            kept.append(layer)
    return kept


def _fold_into_linear(linear: nn.Linear, norm: nn.BatchNorm2d) -> nn.Linear:
    """The linear layer whose features, seen as maps, come out normalised."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    shift = norm.bias - mean * scale
    pixels = linear.out_features // len(scale)
    scale, shift = (each.repeat_interleave(pixels) for each in (scale, shift))
    folded = copy.deepcopy(linear)
    folded.weight = nn.Parameter(linear.weight * scale[:, None])
    folded.bias = nn.Parameter(linear.bias * scale + shift)
    return folded


def _in_place(layers: list[nn.Module]) -> list[nn.Module]:
    """ReLU overwrites what the layer before it has just made; elsewhere it stays as it is."""
    makers = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    return [
        nn.ReLU(inplace=True)
        if isinstance(layer, nn.ReLU) and place and isinstance(layers[place - 1], makers)
        else layer
        for place, layer in enumerate(layers)
    ]


def _as_product(layer: nn.Module) -> nn.Module:
    plain = (
        isinstance(layer, nn.ConvTranspose2d)
        and layer.out_channels <= _FEW_CHANNELS
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
    )
    return ProductDeconvolution(cast(nn.ConvTranspose2d, layer)) if plain else layer
