"""Build an ONNX graph layer by layer, with weights as its constants."""

from collections.abc import Mapping, Sequence

import numpy as np

from model_store.graphs.graph import Array, Attribute, Node, OnnxGraph, Value
from model_store.graphs.writing import write_graph

OPSET = 17
_FLOAT32 = 1
_FLOAT, _INT, _INTS = 1, 2, 7
"""Numbers of types in AttributeProto."""


def ints(*values: int) -> Attribute:
    """Return an attribute that is a list of integers."""
    return Attribute(_INTS, values)


def integer(value: int) -> Attribute:
    """Return an attribute that is an integer."""
    return Attribute(_INT, value)


def real(value: float) -> Attribute:
    """Return an attribute that is a real number."""
    return Attribute(_FLOAT, value)


class GraphBuilder:
    """A graph under construction, with one input of float32 values, whose batch axis is open."""

    def __init__(self, source: str, shape: Sequence[int]) -> None:
        self._source = Value(source, _FLOAT32, (None, *shape))
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}

    def add(
        self,
        operator: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Attribute] | None = None,
        output: str = "",
    ) -> str:
        """Add a node and return the name of its result."""
        output = output or f"v{len(self._nodes)}"
        self._nodes.append(Node(operator, tuple(inputs), (output,), attributes or {}))
        return output

    def constant(self, array: Array) -> str:
        """Add a constant and return its name."""
        name = f"c{len(self._constants)}"
        self._constants[name] = np.ascontiguousarray(array)
        return name

    def transpose(self, value: str, order: Sequence[int], output: str = "") -> str:
        """Add a change of the order of the axes."""
        return self.add("Transpose", [value], {"perm": ints(*order)}, output)

    def reshape(self, value: str, shape: Sequence[int]) -> str:
        """Add a change of the shape of each row."""
        return self.add("Reshape", [value, self.constant(np.array([-1, *shape], np.int64))])

    def file(self, outputs: Mapping[str, Sequence[int]]) -> bytes:
        """Return the content of an ONNX file; `outputs` are name -> shape of one row."""
        values = tuple(Value(name, _FLOAT32, (None, *shape)) for name, shape in outputs.items())
        nodes = tuple(self._nodes)
        return write_graph(OnnxGraph(OPSET, nodes, self._constants, (self._source,), values))
