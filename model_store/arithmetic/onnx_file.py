"""The few messages of ONNX that a graph needs, in protobuf's wire format.

The package `onnx` could write them, but it takes 50 MB and half a second to import, so serving does
not use it. The tests run its checker on these graphs. Field numbers are those of onnx/onnx.proto.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

IR_VERSION = 8
OPSET = 17
MICROSOFT = "com.microsoft"
DATA_TYPES = {"float32": 1, "uint8": 2, "int32": 6, "int64": 7, "float64": 11}

Attribute = int | float | Sequence[int]
Array = NDArray[np.float32] | NDArray[np.float64] | NDArray[np.int64] | NDArray[np.uint8]


@dataclass
class Graph:
    """A graph under construction: nodes in order, and constants."""

    nodes: list[bytes] = field(default_factory=list)
    constants: list[bytes] = field(default_factory=list)
    names: int = 0

    def constant(self, array: Array) -> str:
        """Add a constant and return its name."""
        name = self._name("c")
        self.constants.append(
            b"".join(_integer(1, side) for side in array.shape)
            + _integer(2, DATA_TYPES[str(array.dtype)])
            + _text(8, name)
            + _bytes(9, np.ascontiguousarray(array).tobytes())
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
        graph = b"".join(_bytes(1, node) for node in self.nodes)
        graph += _text(2, "zserve")
        graph += b"".join(_bytes(5, constant) for constant in self.constants)
        graph += _bytes(11, _value(source, shape)) + _bytes(12, _value(target, ("",) * (rank - 1)))
        opsets = _bytes(8, _integer(2, OPSET))
        opsets += _bytes(8, _text(1, MICROSOFT) + _integer(2, 1))
        return _integer(1, IR_VERSION) + _text(2, "zserve") + _bytes(7, graph) + opsets

    def _append(
        self,
        kind: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Attribute],
        domain: str = "",
    ) -> None:
        message = b"".join(_text(1, name) for name in inputs)
        message += b"".join(_text(2, name) for name in outputs)
        message += _text(3, f"{kind}_{outputs[0]}") + _text(4, kind)
        for name, value in attributes.items():
            message += _bytes(5, _attribute(name, value))
        self.nodes.append(message + (_text(7, domain) if domain else b""))

    def _name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}{self.names}"


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    """Return the description of a float32 input or output; "" in `shape` is an unknown size."""
    sides = _bytes(1, _text(2, "batch"))
    for side in shape:
        sides += _bytes(1, _integer(1, side) if isinstance(side, int) else b"")
    tensor = _integer(1, DATA_TYPES["float32"]) + _bytes(2, sides)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, float):
        return _text(1, name) + _tag(2, 5) + struct.pack("<f", value) + _integer(20, 1)
    if isinstance(value, int):
        return _text(1, name) + _integer(3, value) + _integer(20, 2)
    return _text(1, name) + b"".join(_integer(8, item) for item in value) + _integer(20, 7)


def _integer(number: int, value: int) -> bytes:
    return _tag(number, 0) + _varint(value & (2**64 - 1))


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode())


def _bytes(number: int, content: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(content)) + content


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
