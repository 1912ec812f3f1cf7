"""The functions by ONNX Runtime, the fastest library on most CPUs.

The graph is built from the proved integers when a version is loaded, so a version carries one form
of its network. ONNX Runtime's optimisations do not change the bytes, for two reasons. Fusing layers
is harmless because their sums are exact. Additions that round, of residuals and in a flow, are
written so that no optimisation matches them.
"""

from collections.abc import Sequence

import numpy as np

from model_store.arithmetic.executors.onnx_flow import add_flow
from model_store.arithmetic.executors.onnx_operations import add_function
from model_store.arithmetic.executors.onnx_runtime import onnxruntime
from model_store.arithmetic.onnx_file import Graph
from model_store.arithmetic.program import Floats, FlowMap, Function

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
    value, rank = INPUT, 1 + len(shape)
    layers = function
    if isinstance(function[0], FlowMap):
        value, layers = add_flow(graph, function[0], INPUT), function[1:]
    if layers:
        value, rank = add_function(graph, layers, value, rank)
        zero = graph.constant(np.zeros((), np.float32))
        graph.node("Add", [value, zero], output=OUTPUT)  # turns -0 into 0
    else:
        graph.node("Identity", [value], output=OUTPUT)
    return graph.model(INPUT, shape, OUTPUT, rank)
