"""A VAE made ready to run: the same function in fewer and cheaper operations.

    batch norm          folded into the layer before it
    ReLU                in place, where nothing else can see what it overwrites
    last deconvolution  on a CPU, where it gives one channel or three: a matrix product and `fold`
    other layers        on a CPU: by oneDNN, their weights laid out for it once, for one batch size

PyTorch alone takes MKL for products, which is slow on CPUs of other makers, and lays out the weights
of convolutions anew at each call. That oneDNN can be asked otherwise has no public name: these are
the operations that torch.compile emits. Where they are missing, the layers stay as they are.

The numbers differ from the plain network's in the last bits, always in the same way; ARITHMETIC
names that way, and changes whenever other bits may come out. What each step buys: DECISIONS.md.
"""

import copy
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model_store.vae.model import VAE

_FEW_CHANNELS = 4
"""Up to here oneDNN's deconvolution, made for many channels, is slower than the product."""

Operation = Callable[..., Tensor]

_UNFUSED: tuple[object, ...] = ("none", [], "")
"""Says that nothing is fused into an operation."""


def _onednn(name: str) -> Operation:
    """An operation by its name; raises AttributeError where this build of torch is without it."""
    return cast(Operation, getattr(torch.ops.mkldnn, name))


def _packs() -> bool:
    """Whether this build of torch, on this machine, can lay out weights; tried, not looked up."""
    one = torch.ones(1, 1)
    try:
        packed = _onednn("_reorder_linear_weight")(one, 1)
        return _onednn("_linear_pointwise")(one, packed, None, *_UNFUSED).item() == 1.0
    except (AttributeError, RuntimeError):
        return False


def ready_to_run(vae: VAE, device: torch.device, batch: int = 16) -> VAE:
    """A copy on this device, in evaluation mode, that computes the same.

    It takes any number of rows, and is made for `batch` of them.
    """
    ready = copy.deepcopy(vae).eval().to(device)
    for name, module in reversed(list(ready.named_modules())):  # what is inside comes first
        if type(module) is nn.Sequential:
            parent, _, own_name = name.rpartition(".")
            layers = _in_place(_folded(list(module)))
            if device.type == "cpu":
                layers = [_as_product(layer) for layer in layers]
            setattr(ready.get_submodule(parent), own_name, nn.Sequential(*layers))
    ready.requires_grad_(False)
    if device.type == "cpu" and _PACKS:
        _pack(ready, batch)
    return ready


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


# --- layers by oneDNN ----------------------------------------------------------------------------


class Packed(nn.Module):
    """nn.Linear, nn.Conv2d or nn.ConvTranspose2d by oneDNN, laid out for inputs of one shape."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._where: tuple[object, ...] = ()
        match layer:
            case nn.Linear(weight=weight):
                name, lay_out = "_linear", _onednn("_reorder_linear_weight")
                self._weight = lay_out(weight.contiguous(), shape[0])
            case nn.Conv2d(weight=weight):
                name, lay_out = "_convolution", _onednn("_reorder_convolution_weight")
                self._where = (layer.padding, layer.stride, layer.dilation, layer.groups)
                self._weight = lay_out(weight, *self._where, shape)
            case nn.ConvTranspose2d(weight=weight):
                name = "_convolution_transpose"
                lay_out = _onednn("_reorder_convolution_transpose_weight")
                self._where = (
                    layer.padding,
                    layer.output_padding,
                    layer.stride,
                    layer.dilation,
                    layer.groups,
                )
                self._weight = lay_out(weight, *self._where, shape)
            case _:
                raise TypeError(f"{type(layer).__name__} has no form of oneDNN here")
        self._bias = layer.bias
        self._run = _onednn(f"{name}_pointwise")

    def forward(self, x: Tensor) -> Tensor:
        """What the layer gives."""
        return self._run(x, self._weight, self._bias, *self._where, *_UNFUSED)


@torch.inference_mode()
def _pack(vae: VAE, batch: int) -> None:
    """Replace every layer that runs, for the shape of what it is given at this batch size."""
    names = {module: name for name, module in vae.named_modules()}
    for layer, shape in _shapes_of_inputs(vae, batch).items():
        vae.set_submodule(names[layer], Packed(layer, shape))


def _shapes_of_inputs(vae: VAE, batch: int) -> dict[nn.Module, tuple[int, ...]]:
    """What each linear layer and convolution sees while images are encoded and decoded."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[layer] = tuple(inputs[0].shape)

    layers = [
        module
        for module in vae.modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    mu, _ = vae.encode(torch.zeros(batch, *vae.spec.image.shape))
    vae.decode(mu)
    for hook in hooks:
        hook.remove()
    return shapes


# --- layer by layer ------------------------------------------------------------------------------


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


_PACKS = _packs()
ARITHMETIC = "packed-1" if _PACKS else "folded-1"
