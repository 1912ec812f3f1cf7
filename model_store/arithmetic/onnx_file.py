"""The few messages of ONNX that a graph needs, in protobuf's wire format.

The package `onnx` could write them, but it takes 50 MB and half a second to import, so serving does
not use it. The tests run its checker on these graphs. Field numbers are those of onnx/onnx.proto.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model_store.protobuf import content, float32, integer, text

IR_VERSION = 8
OPSET = 17
MICROSOFT = "com.microsoft"
DATA_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "float64": 11}

Attribute = int | float | Sequence[int]
Array = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint8]


@dataclass(frozen=True)
class Value:
    """An input or an output of a graph: (batch, *shape)."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass
class Graph:
    """A graph under construction: nodes in order, and constants.

    Attributes:
        nodes: NodeProto messages.
        constants: TensorProto messages.
        names: Number of names that were made up for values so far.
        portable: True if only the operators of ONNX itself may be used, none of ONNX Runtime's own.
    """

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    names: int = 0
    portable: bool = False

    def constant(self, array: Array) -> str:
        """Add a constant and return its name."""
        name = self._name("c")
        self.constants.append(
            b"".join(integer(1, side) for side in array.shape)
            + integer(2, DATA_TYPES[str(array.dtype)])
            + text(8, name)
            + content(9, np.ascontiguousarray(array).tobytes())
        )
        return name

    def node(
        self,
        kind: str,
        inputs: Sequence[str],
        attributes: Mapping[str, Attribute] | None = None,
        *,
        domain: str = "",
        output: str | None = None,
    ) -> str:
        """Add a node with one output and return the output's name."""
        output = output or self._name("v")
        self._append(kind, inputs, [output], attributes or {}, domain)
        return output

    def split(self, value: str, parts: int) -> list[str]:
        """Add a node that splits axis 1 into equal parts, and return their names."""
        outputs = [self._name("v") for _ in range(parts)]
        self._append("Split", [value], outputs, {"axis": 1})
        return outputs

    def model(self, source: str, shape: Sequence[int], target: str, rank: int) -> bytes:
        """Return the file: a float32 input (batch, *shape) and a float32 output of `rank` axes."""
        graph = b"".join(content(1, node) for node in self.nodes)
        graph += text(2, "zserve")
        graph += b"".join(content(5, constant) for constant in self.constants)
        graph += content(11, _value(source, shape)) + content(
            12, _value(target, ("",) * (rank - 1))
        )
        opsets = content(8, integer(2, OPSET))
        opsets += content(8, text(1, MICROSOFT) + integer(2, 1))
        return integer(1, IR_VERSION) + text(2, "zserve") + content(7, graph) + opsets

    def file(
        self,
        name: str,
        inputs: Sequence[Value],
        outputs: Sequence[Value],
        metadata: Mapping[str, str],
    ) -> bytes:
        """Return the file of a portable graph with typed inputs and outputs, and entries of text."""
        graph = b"".join(content(1, node) for node in self.nodes)
        graph += text(2, name)
        graph += b"".join(content(5, constant) for constant in self.constants)
        graph += b"".join(content(11, _value(v.name, v.shape, v.dtype)) for v in inputs)
        graph += b"".join(content(12, _value(v.name, v.shape, v.dtype)) for v in outputs)
        entries = [text(1, key) + text(2, entry) for key, entry in metadata.items()]
        return (
            integer(1, IR_VERSION)
            + text(2, "zserve")
            + content(7, graph)
            + content(8, integer(2, OPSET))
            + b"".join(content(14, entry) for entry in entries)
        )

    def _append(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Attribute],
        domain: str = "",
    ) -> None:
        message = b"".join(text(1, name) for name in inputs)
        message += b"".join(text(2, name) for name in outputs)
        message += text(3, f"{kind}_{outputs[0]}") + text(4, kind)
        for name, value in attributes.items():
            message += content(5, _attribute(name, value))
        self.nodes.append(message + (text(7, domain) if domain else b""))

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"


def _value(name: str, shape: Sequence[int | str], dtype: str = "float32") -> bytes:
    """Return the description of an input or output; "" in `shape` is an unknown size."""
    sides = content(1, text(2, "batch"))
    for side in shape:
        sides += content(1, integer(1, side) if isinstance(side, int) else b"")
    tensor = integer(1, DATA_TYPES[dtype]) + content(2, sides)
    return text(1, name) + content(2, content(1, tensor))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        return text(1, name) + float32(2, value) + integer(20, 1)
    if isinstance(value, int):
        return text(1, name) + integer(3, value) + integer(20, 2)
    return text(1, name) + b"".join(integer(8, item) for item in value) + integer(20, 7)
