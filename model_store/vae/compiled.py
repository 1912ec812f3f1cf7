"""Compile a VAE for inference: the same function in fewer and cheaper operations.

    batch norm          folded into the layer before it
    ReLU                in place, if no other layer reads what it overwrites
    last deconvolution  on a CPU, if it has few output channels: a matrix product and `fold`
    other layers        on a CPU: run by oneDNN, their weights prepacked for one batch size

PyTorch multiplies matrices with MKL, which is slow on CPUs of other makers than Intel, and prepares
the weights of convolutions again at each call. oneDNN does neither, but PyTorch has no public names
for its prepacked layers; the operations below are those that torch.compile emits. If a build of
PyTorch lacks them, the layers stay as they are.

The results differ from the plain network's in the last bits, always in the same way. ARITHMETIC is
a name for these bits, and must change with every change of code that may change them.
"""

import copy
from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model_store.spec import Package
from model_store.vae.model import VAE

_FEW_CHANNELS = 4
"""Largest number of output channels for which a product is faster than oneDNN's deconvolution."""

Operation = Callable[..., Tensor]

_UNFUSED: tuple[object, ...] = ("none", [], "")
"""Arguments of a oneDNN operation into which no other is fused."""


def _onednn(name: str) -> Operation:
    """Return a oneDNN operation; raises AttributeError if this build of torch lacks it."""
    return cast(Operation, getattr(torch.ops.mkldnn, name))


def _has_onednn_prepack() -> bool:
    """Return True if this build of torch can prepack weights on this machine, by trying it."""
    one = torch.ones(1, 1)
    try:
        packed = _onednn("_reorder_linear_weight")(one, 1)
        return _onednn("_linear_pointwise")(one, packed, None, *_UNFUSED).item() == 1.0
    except (AttributeError, RuntimeError):
        return False


def compile_for_inference(vae: VAE, device: torch.device, batch: int = 16) -> VAE:
    """Return a copy that computes the same on a device, in evaluation mode and faster.

    The copy accepts any number of rows, and is fastest for `batch` rows. The network of a package is
    copied as it is.
    """
    compiled = copy.deepcopy(vae).eval().to(device)
    if isinstance(vae.spec.network, Package):  # it may use its layers in ways of its own
        return compiled.requires_grad_(False)
    for name, module in reversed(list(compiled.named_modules())):  # inner modules first
        if type(module) is nn.Sequential:
            parent, _, own_name = name.rpartition(".")
            layers = _in_place(fold_batch_norm(list(module)))
            if device.type == "cpu":
                layers = [_as_product(layer) for layer in layers]
            setattr(compiled.get_submodule(parent), own_name, nn.Sequential(*layers))
    compiled.requires_grad_(False)
    if device.type == "cpu" and HAS_ONEDNN_PREPACK:
        _prepack(compiled, batch)
    return compiled


class ProductDeconvolution(nn.Module):
    """A transposed convolution as one matrix product for each image, its columns summed by `fold`.

    Takes (batch, channels, height, width) and returns what nn.ConvTranspose2d does, up to rounding.
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


# --- layers run by oneDNN ------------------------------------------------------------------------


class OneDnnLayer(nn.Module):
    """nn.Linear, nn.Conv2d or nn.ConvTranspose2d run by oneDNN, prepacked for inputs of one shape."""

    def __init__(self, layer: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._geometry: tuple[object, ...] = ()
        match layer:
            case nn.Linear(weight=weight):
                name, prepack = "_linear", _onednn("_reorder_linear_weight")
                self._weight = prepack(weight.contiguous(), shape[0])
            case nn.Conv2d(weight=weight):
                name, prepack = "_convolution", _onednn("_reorder_convolution_weight")
                self._geometry = (layer.padding, layer.stride, layer.dilation, layer.groups)
                self._weight = prepack(weight, *self._geometry, shape)
            case nn.ConvTranspose2d(weight=weight):
                name = "_convolution_transpose"
                prepack = _onednn("_reorder_convolution_transpose_weight")
                self._geometry = (
                    layer.padding,
                    layer.output_padding,
                    layer.stride,
                    layer.dilation,
                    layer.groups,
                )
                self._weight = prepack(weight, *self._geometry, shape)
            case _:
                raise TypeError(f"{type(layer).__name__} cannot be run by oneDNN here")
        self._bias = layer.bias
        self._run = _onednn(f"{name}_pointwise")

    def forward(self, x: Tensor) -> Tensor:
        """Return what the original layer returns, up to rounding."""
        return self._run(x, self._weight, self._bias, *self._geometry, *_UNFUSED)


@torch.inference_mode()
def _prepack(vae: VAE, batch: int) -> None:
    """Replace every layer that runs by one prepacked for the shape of its input at this batch size."""
    names = {module: name for name, module in vae.named_modules()}
    for layer, shape in _shapes_of_inputs(vae, batch).items():
        vae.set_submodule(names[layer], OneDnnLayer(layer, shape))


def _shapes_of_inputs(vae: VAE, batch: int) -> dict[nn.Module, tuple[int, ...]]:
    """Return the input's shape of each linear layer and convolution that encodes or decodes."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def record(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        shapes[layer] = tuple(inputs[0].shape)

    layers = [
        module
        for module in vae.modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    ]
    hooks = [layer.register_forward_pre_hook(record) for layer in layers]
    mu, _ = vae.encode(torch.zeros(batch, *vae.spec.image.shape))
    vae.decode(mu)
    for hook in hooks:
        hook.remove()
    return shapes


# --- layer by layer ------------------------------------------------------------------------------


def fold_batch_norm(layers: list[nn.Module]) -> list[nn.Module]:
    """Fold batch norm into the convolution, or the linear layer and nn.Unflatten, before it."""
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
    """Return a linear layer whose features, viewed as feature maps, are normalised."""
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
    """Let ReLU overwrite its input if the layer before it has just made it."""
    makers = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    return [
        nn.ReLU(inplace=True)
        if isinstance(layer, nn.ReLU) and place and isinstance(layers[place - 1], makers)
        else layer
        for place, layer in enumerate(layers)
    ]


def _as_product(layer: nn.Module) -> nn.Module:
    """Replace a plain transposed convolution with few output channels; return others unchanged."""
    plain = (
        isinstance(layer, nn.ConvTranspose2d)
        and layer.out_channels <= _FEW_CHANNELS
        and layer.groups == 1
        and layer.dilation == (1, 1)
        and not isinstance(layer.padding, str)
    )
    return ProductDeconvolution(cast(nn.ConvTranspose2d, layer)) if plain else layer


HAS_ONEDNN_PREPACK = _has_onednn_prepack()
ARITHMETIC = "packed-1" if HAS_ONEDNN_PREPACK else "folded-1"
"""Name of the way in which compiled networks compute on this machine; part of the ETags."""
