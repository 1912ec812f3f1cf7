"""The functions by ONNX Runtime, the fastest library on most CPUs.

The graph is built from the proved integers when a version is loaded, so a version carries one form
of its network. ONNX Runtime's optimisations do not change the bytes, for two reasons. Fusing layers
is harmless because their sums are exact. A residual addition rounds, so it must not be fused: it is
written as a subtraction of the negated convolution, which no optimisation matches.
"""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_store.arithmetic.executors.scaling import ROUNDED_LIMIT, scaled_affine, scaled_layer
from model_store.arithmetic.onnx_file import MICROSOFT, Graph
from model_store.arithmetic.program import (
    LATENT_EXPONENT,
    LATENT_LIMIT,
    Affine,
    Convolution,
    Deconvolution,
    Dense,
    Floats,
    Fork,
    Function,
    Join,
    LatentDense,
    Operation,
    ReluLevels,
    Reshape,
    SiluLevels,
)

INPUT, OUTPUT = "x", "y"


class OnnxExecutor:
    """Runs a function with ONNX Runtime on the CPU, with `threads` threads."""

    def __init__(self, function: Function, shape: Sequence[int], threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            to_onnx(function, shape), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, batch: Floats) -> Floats:
        """Run the graph."""
        (result,) = self._session.run([OUTPUT], {INPUT: batch})
        return np.asarray(result, np.float32)


def to_onnx(function: Function, shape: Sequence[int]) -> bytes:
    """Return the function as an ONNX file; `shape` is the input's, without the batch."""
    graph = Graph()
    value = INPUT
    rank = 1 + len(shape)
    remembered = ""
    for place, operation in enumerate(function):
        if isinstance(operation, Fork):
            remembered = value
        elif isinstance(operation, Join):
            value = graph.node("Sub", [remembered, value])
        else:
            negated = isinstance(function[min(place + 1, len(function) - 1)], Join)
            value = _add(graph, operation, value, rank, -1.0 if negated else 1.0)
            rank = 1 + len(operation.shape) if isinstance(operation, Reshape) else rank
    graph.node("Add", [value, graph.constant(np.zeros((), np.float32))], output=OUTPUT)
    return graph.model(INPUT, shape, OUTPUT, rank)


def _add(  # noqa: PLR0911 - one case an operation
    graph: Graph, operation: Operation, value: str, rank: int, sign: float
) -> str:
    """Add the nodes of one operation and return the name of its result."""
    match operation:
        case LatentDense():
            return _add_latent_dense(graph, operation, value)
        case Dense():
            weight, bias = scaled_layer(operation, np.float32, sign)
            inputs = [value, graph.constant(np.ascontiguousarray(weight.T)), graph.constant(bias)]
            return graph.node("Gemm", inputs)
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
            value = _clip(graph, graph.node("Round", [value]), -limit, limit)
            value = graph.node("Mul", [value, graph.constant(scale)])
            return graph.node("Add", [value, graph.constant(bias)])
        case ReluLevels(highest=highest):
            return graph.node("Round", [_clip(graph, value, 0, highest)])
        case SiluLevels(highest=highest, exponent=exponent):
            value = graph.node("Round", [value])
            value = graph.node("QuickGelu", [value], {"alpha": 2.0**-exponent}, domain=MICROSOFT)
            scale = _spread(operation.scale * np.float32(2.0**-exponent), rank)
            value = graph.node("Round", [graph.node("Mul", [value, graph.constant(scale)])])
            return graph.node("Min", [value, graph.constant(np.array(highest, np.float32))])
        case Reshape(shape=shape):
            return graph.node("Reshape", [value, graph.constant(np.array([-1, *shape], np.int64))])
        case _:
            raise TypeError(f"{operation.kind} is handled by the caller")


def _add_latent_dense(graph: Graph, layer: LatentDense, value: str) -> str:
    weight, bias = scaled_layer(layer, np.float64)
    value = graph.node("Cast", [_clip(graph, value, -LATENT_LIMIT, LATENT_LIMIT)], {"to": 11})
    value = graph.node("Mul", [value, graph.constant(np.array(2.0**LATENT_EXPONENT))])
    value = graph.node("Round", [value])
    value = graph.node("MatMul", [value, graph.constant(np.ascontiguousarray(weight.T))])
    value = graph.node("Round", [graph.node("Add", [value, graph.constant(bias)])])
    low, high = (graph.constant(np.array(limit)) for limit in (-ROUNDED_LIMIT, ROUNDED_LIMIT))
    return graph.node("Cast", [graph.node("Clip", [value, low, high])], {"to": 1})


def _spread(array: NDArray[np.float32], rank: int) -> NDArray[np.float32]:
    """Reshape (channels,) to (channels, 1, ...), to broadcast over (batch, channels, ...)."""
    return array.reshape(-1, *[1] * (rank - 2))


def _clip(graph: Graph, value: str, low: float, high: float) -> str:
    limits = [graph.constant(np.array(limit, np.float32)) for limit in (low, high)]
    return graph.node("Clip", [value, *limits])
