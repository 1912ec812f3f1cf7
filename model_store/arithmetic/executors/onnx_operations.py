"""Nodes of ONNX graphs for the operations of exact functions."""

import numpy as np
from numpy.typing import NDArray

from model_store.arithmetic.executors.scaling import (
    ROUNDED_LIMIT,
    largest_sum,
    scaled_affine,
    scaled_layer,
)
from model_store.arithmetic.onnx_file import DATA_TYPES, MICROSOFT, Graph
from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    Fork,
    Function,
    Join,
    LatentDense,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)

FLOAT32, FLOAT64 = DATA_TYPES["float32"], DATA_TYPES["float64"]


def add_function(graph: Graph, function: Function, value: str, rank: int) -> tuple[str, int]:
    """Add the nodes of a function's operations; `rank` is the number of axes of `value`.

    Return the name of the result, in which 0 may be -0, and its number of axes. A residual addition
    is written as a subtraction of the negated layer, because ONNX Runtime fuses additions.
    """
    remembered, previous = "", None
    for operation, following in zip(function, (*function[1:], None), strict=True):
        if isinstance(operation, Fork):
            remembered = value
        elif isinstance(operation, Join):
            value = graph.node("Sub", [remembered, value])
        else:
            value = add_operation(
                graph,
                operation,
                value,
                rank,
                sign=-1.0 if isinstance(following, Join) else 1.0,
                rounded=isinstance(previous, LatentDense),
            )
            rank = 1 + len(operation.shape) if isinstance(operation, Reshape) else rank
        previous = operation
    return value, rank


def add_operation(  # noqa: PLR0911 - one case an operation
    graph: Graph,
    operation: Operation,
    value: str,
    rank: int,
    *,
    sign: float,
    rounded: bool,
) -> str:
    """Add the nodes of one operation and return the name of its result.

    `rank` is the number of axes of the value, `sign` a factor of the result of a layer. If the value
    is `rounded`, it holds integers already.
    """
    match operation:
        case LatentDense():
            return _add_latent_dense(graph, operation, value)
        case Dense():
            return add_linear(graph, value, *scaled_layer(operation, np.float32, sign))
        case Convolution(stride=stride, padding=padding):
            weight, bias = scaled_layer(operation, np.float32, sign)
            return graph.node(
                "Conv",
                [value, graph.constant(weight), graph.constant(bias)],
                {"strides": [stride] * 2, "pads": [padding] * 4},
            )
        case Deconvolution(stride=stride, padding=padding, output_padding=output_padding):
            weight, bias = scaled_layer(operation, np.float32, sign)
            return graph.node(
                "ConvTranspose",
                [value, graph.constant(weight), graph.constant(bias)],
                {
                    "strides": [stride] * 2,
                    "pads": [padding] * 4,
                    "output_padding": list(output_padding),
                },
            )
        case Affine(limit=limit):
            scale, bias = (_spread(array, rank) for array in scaled_affine(operation))
            value = add_rounding(graph, value, limit)
            value = graph.node("Mul", [value, graph.constant(scale)])
            return graph.node("Add", [value, graph.constant(bias)])
        case ReluLevels(highest=highest):
            value = _clip(graph, value, 0, highest)
            return value if rounded else graph.node("Round", [value])
        case SiluLevels(highest=highest, exponent=exponent):
            value = value if rounded else graph.node("Round", [value])
            value = _add_silu(graph, value, 2.0**-exponent)
            scale = _spread(operation.scale * np.float32(2.0**-exponent), rank)
            value = graph.node("Round", [graph.node("Mul", [value, graph.constant(scale)])])
            return _clip(graph, value, None, highest)  # quicker than Min
        case Reshape(shape=shape):
            return graph.node("Reshape", [value, graph.constant(np.array([-1, *shape], np.int64))])
        case _:
            raise TypeError(f"{operation.kind} is handled by the caller")


def add_linear(
    graph: Graph, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> str:
    """Add a linear layer of scaled weights (out, in) and biases (out,)."""
    transposed = np.ascontiguousarray(weight.T)
    return graph.node("Gemm", [value, graph.constant(transposed), graph.constant(bias)])


def add_rounding(graph: Graph, value: str, limit: float) -> str:
    """Round to the nearest integer and clamp to +-limit."""
    return _clip(graph, graph.node("Round", [value]), -limit, limit)


def _add_silu(graph: Graph, value: str, alpha: float) -> str:
    """Add x sigmoid(alpha x), by one operator if ONNX Runtime will run the graph.

    The certificate of a scale allows for one multiplication more, of which alpha, a power of two, needs
    no rounding.
    """
    if not graph.portable:
        return graph.node("QuickGelu", [value], {"alpha": alpha}, domain=MICROSOFT)
    scaled = graph.node("Mul", [value, graph.constant(np.array(alpha, np.float32))])
    return graph.node("Mul", [value, graph.node("Sigmoid", [scaled])])


def _add_latent_dense(graph: Graph, layer: LatentDense, value: str) -> str:
    """Add the first layer; its result holds integers.

    Latents are rounded in float32, which is exact because they are multiplied by a power of two.
    """
    weight, bias = scaled_layer(layer, np.float64)
    value = _clip(graph, value, -LATENT_LIMIT, LATENT_LIMIT)
    value = graph.node("Mul", [value, graph.constant(np.array(2.0**LATENT_EXPONENT, np.float32))])
    value = graph.node("Cast", [graph.node("Round", [value])], {"to": FLOAT64})
    transposed = np.ascontiguousarray(weight.T)
    value = graph.node("Gemm", [value, graph.constant(transposed), graph.constant(bias)])
    value = graph.node("Round", [value])
    if largest_sum(layer) > ROUNDED_LIMIT:
        low, high = (graph.constant(np.array(limit)) for limit in (-ROUNDED_LIMIT, ROUNDED_LIMIT))
        value = graph.node("Clip", [value, low, high])
    return graph.node("Cast", [value], {"to": FLOAT32})


def _spread(array: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """Reshape (channels,) to (channels, 1, ...), to broadcast over (batch, channels, ...)."""
    return array.reshape(-1, *[1] * (rank - 2))


def _clip(graph: Graph, value: str, low: float | None, high: float) -> str:
    limits = ["" if x is None else graph.constant(np.array(x, np.float32)) for x in (low, high)]
    return graph.node("Clip", [value, *limits])
