"""Float versions as ONNX graphs: the layers of a VAE, between images of 8 bits and latents."""

from collections.abc import Iterable
from typing import cast

import numpy as np
import torch
from torch import nn

from model_store.arithmetic.executors.onnx_operations import add_linear
from model_store.arithmetic.onnx_file import DATA_TYPES, Graph, Value
from model_store.exporting.metadata import metadata
from model_store.spec import Manifest
from model_store.vae import VAE
from model_store.vae.compiled import fold_batch_norm
from model_store.vae.flow import MAX_LOG_SCALE, Coupling, RealNVP
from model_store.vae.networks import ResidualBlock

GREATEST_GREY = 255


class NotExportableError(ValueError):
    """A network has a module that cannot be exported: it has no form in ONNX or plain PyTorch here."""


def float_graphs(vae: VAE, manifest: Manifest) -> dict[str, bytes]:
    """Return the files of a float VAE: name -> content of encoder.onnx, decoder.onnx, flow.onnx.

    flow.onnx is there only if the prior is a flow. Raises NotExportableError.
    """
    image = Value("image", "uint8", vae.spec.image.shape)
    mu, logvar, latents = (
        Value(name, "float32", (vae.spec.latent,)) for name in ("mu", "logvar", "latents")
    )
    parts = {
        "encoder": _encoder(vae).file(
            "encoder", [image], [mu, logvar], metadata(manifest, "encoder")
        )
    }
    parts["decoder"] = _decoder(vae).file(
        "decoder", [latents], [image], metadata(manifest, "decoder")
    )
    if vae.flow is not None:
        parts["flow"] = _flow(vae.flow).file("flow", [mu], [latents], metadata(manifest, "flow"))
    return {f"{name}.onnx": content for name, content in parts.items()}


def _encoder(vae: VAE) -> Graph:
    graph = Graph(portable=True)
    value = graph.node("Cast", ["image"], {"to": DATA_TYPES["float32"]})
    value = graph.node("Div", [value, _scalar(graph, GREATEST_GREY)])
    features = _layers(graph, vae.encoder, value)
    mu, logvar = (_layer(graph, head, features) for head in (vae.to_mu, vae.to_logvar))
    graph.node("Identity", [mu], output="mu")
    bound = vae.spec.logvar_bound
    if bound is None:
        graph.node("Identity", [logvar], output="logvar")
    else:
        limits = [_scalar(graph, -bound), _scalar(graph, bound)]
        graph.node("Clip", [logvar, *limits], output="logvar")
    return graph


def _decoder(vae: VAE) -> Graph:
    graph = Graph(portable=True)
    value = "latents"
    if vae.flow is not None:
        for coupling in reversed(list(_couplings(vae.flow))):
            value = _coupling(graph, coupling, value, inverse=True)
    value = graph.node("Sigmoid", [_layers(graph, vae.decoder, value)])
    value = graph.node("Mul", [value, _scalar(graph, GREATEST_GREY)])
    value = graph.node("Floor", [graph.node("Add", [value, _scalar(graph, 0.5)])])
    graph.node("Cast", [value], {"to": DATA_TYPES["uint8"]}, output="image")
    return graph


def _flow(flow: RealNVP) -> Graph:
    graph = Graph(portable=True)
    value = "mu"
    for coupling in _couplings(flow):
        value = _coupling(graph, coupling, value, inverse=False)
    graph.node("Identity", [value], output="latents")
    return graph


def _couplings(flow: RealNVP) -> Iterable[Coupling]:
    return (cast(Coupling, module) for module in flow.couplings)


def _coupling(graph: Graph, coupling: Coupling, value: str, *, inverse: bool) -> str:
    """Add one affine coupling: the other dimensions are scaled and shifted."""
    last = cast(nn.Linear, coupling.net[-1])
    kept, changed = cast(nn.Linear, coupling.net[0]).in_features, last.out_features // 2
    dimensions = np.arange(kept + changed)
    places = [dimensions[coupling.kept], dimensions[coupling.changed]]
    halves = [graph.node("Gather", [value, graph.constant(p)], {"axis": 1}) for p in places]
    raw, shift = graph.split(_layers(graph, coupling.net, halves[0]), 2)
    size = _scalar(graph, MAX_LOG_SCALE)
    bounded = graph.node("Tanh", [graph.node("Div", [raw, size])])
    log_scale = graph.node("Mul", [bounded, size])
    if inverse:
        difference = graph.node("Sub", [halves[1], shift])
        factor = graph.node("Exp", [graph.node("Neg", [log_scale])])
        result = graph.node("Mul", [difference, factor])
    else:
        scaled = graph.node("Mul", [halves[1], graph.node("Exp", [log_scale])])
        result = graph.node("Add", [scaled, shift])
    order = np.argsort(np.concatenate(places), kind="stable")
    joined = graph.node("Concat", [halves[0], result], {"axis": 1})
    return graph.node("Gather", [joined, graph.constant(order)], {"axis": 1})


def _layers(graph: Graph, network: nn.Module, value: str) -> str:
    if not isinstance(network, nn.Sequential):
        raise NotExportableError(f"{type(network).__name__} is not a sequence of layers")
    for layer in fold_batch_norm(list(network)):
        value = _layer(graph, layer, value)
    return value


def _layer(graph: Graph, layer: nn.Module, value: str) -> str:  # noqa: PLR0911 - one case a layer
    """Add the nodes of one layer and return the name of its result."""
    match layer:
        case nn.Linear():
            return add_linear(graph, value, _array(layer.weight), _array(layer.bias))
        case nn.Conv2d():
            parameters = [graph.constant(_array(each)) for each in (layer.weight, layer.bias)]
            return graph.node("Conv", [value, *parameters], _geometry(layer))
        case nn.ConvTranspose2d():
            parameters = [graph.constant(_array(each)) for each in (layer.weight, layer.bias)]
            attributes = _geometry(layer) | {"output_padding": list(layer.output_padding)}
            return graph.node("ConvTranspose", [value, *parameters], attributes)
        case nn.BatchNorm2d():
            mean, variance = (
                cast(torch.Tensor, layer.running_mean),
                cast(torch.Tensor, layer.running_var),
            )
            scale = layer.weight * torch.rsqrt(variance + layer.eps)
            shift = layer.bias - mean * scale
            spread = [graph.constant(_array(each).reshape(-1, 1, 1)) for each in (scale, shift)]
            return graph.node("Add", [graph.node("Mul", [value, spread[0]]), spread[1]])
        case nn.ReLU():
            return graph.node("Relu", [value])
        case nn.SiLU():
            return graph.node("Mul", [value, graph.node("Sigmoid", [value])])
        case nn.Flatten():
            return graph.node("Flatten", [value], {"axis": 1})
        case nn.Unflatten():
            shape = np.array([-1, *layer.unflattened_size], np.int64)
            return graph.node("Reshape", [value, graph.constant(shape)])
        case ResidualBlock():
            return graph.node("Add", [value, _layers(graph, layer.change, value)])
        case other:
            raise NotExportableError(f"{type(other).__name__} has no ONNX form here")


def _geometry(layer: nn.Conv2d | nn.ConvTranspose2d) -> dict[str, int | float | list[int]]:
    padding = [int(side) for side in layer.padding]
    return {"strides": list(layer.stride), "pads": padding * 2}


def _array(parameter: "torch.Tensor | None") -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.asarray(cast(torch.Tensor, parameter).detach().float().numpy(), np.float32)


def _scalar(graph: Graph, value: float) -> str:
    return graph.constant(np.array(value, np.float32))
