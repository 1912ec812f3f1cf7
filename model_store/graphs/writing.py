"""Write an `OnnxGraph` as an ONNX file, and nothing else; equal graphs give equal bytes."""

import numpy as np

from model_store.graphs.graph import DTYPES, Array, Attribute, Node, OnnxGraph, Value
from model_store.protobuf import content, float32, integer, text

IR_VERSION = 10

_NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}


def write_graph(graph: OnnxGraph) -> bytes:
    """Return the file of a graph."""
    message = b"".join(content(1, _node(node)) for node in graph.nodes)
    message += text(2, "graph")
    message += b"".join(content(5, _tensor(name, a)) for name, a in sorted(graph.constants.items()))
    message += b"".join(content(11, _value(value)) for value in graph.inputs)
    message += b"".join(content(12, _value(value)) for value in graph.outputs)
    opset = content(8, integer(2, graph.opset))
    return integer(1, IR_VERSION) + text(2, "zserve") + content(7, message) + opset


def _node(node: Node) -> bytes:
    return (
        b"".join(text(1, name) for name in node.inputs)
        + b"".join(text(2, name) for name in node.outputs)
        + text(4, node.operator)
        + b"".join(content(5, _attribute(name, a)) for name, a in sorted(node.attributes.items()))
    )


def _attribute(name: str, attribute: Attribute) -> bytes:
    value = attribute.value
    match value:
        case float():
            message = float32(2, value)
        case int():
            message = integer(3, value)
        case bytes():
            message = content(4, value)
        case np.ndarray():
            message = content(5, _tensor("", value))
        case _:
            message = b"".join(_item(item) for item in value)
    return text(1, name) + message + integer(20, attribute.kind)


def _item(item: float | bytes) -> bytes:
    match item:
        case bytes():
            return content(9, item)
        case int():
            return integer(8, item)
        case _:
            return float32(7, item)


def _tensor(name: str, array: Array) -> bytes:
    return (
        b"".join(integer(1, side) for side in array.shape)
        + integer(2, _NUMBERS[array.dtype])
        + text(8, name)
        + content(9, np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
    )


def _value(value: Value) -> bytes:
    """Return the description of an input or output; open axes are named by their place."""
    sides = b""
    for place, side in enumerate(value.shape):
        axis = text(2, f"axis{place}") if side is None else integer(1, side)
        sides += content(1, axis)
    tensor = integer(1, value.dtype) + content(2, sides)
    return text(1, value.name) + content(2, content(1, tensor))
