"""The two graphs of a version, read and checked without running them."""

from model_store.errors import GraphError
from model_store.graphs.graph import OnnxGraph
from model_store.graphs.operators import check_graph
from model_store.graphs.reading import read_graph

ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
"""Names of the tensors that hold the graphs in the file of weights."""


def checked_graphs(encoder: bytes, decoder: bytes) -> tuple[OnnxGraph, OnnxGraph]:
    """Read two graphs, and check that each has one input; raises GraphError."""
    return _one_input(ENCODER, encoder), _one_input(DECODER, decoder)


def _one_input(name: str, content: bytes) -> OnnxGraph:
    try:
        graph = read_graph(content)
        check_graph(graph)
    except GraphError as error:
        raise GraphError(f"{name}: {error}") from error
    if len(graph.inputs) != 1:
        raise GraphError(f"{name}: it has {len(graph.inputs)} inputs, expected one")
    return graph
