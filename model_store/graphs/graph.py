"""A graph of ONNX as values: what is left of a file after everything else was refused or dropped."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES: Mapping[int, type[np.generic]] = {
    1: np.float32,
    2: np.uint8,
    3: np.int8,
    6: np.int32,
    7: np.int64,
    9: np.bool_,
    10: np.float16,
    11: np.float64,
}
"""Numbers of ONNX's types -> numpy's; others, such as strings, are refused."""


@dataclass(frozen=True)
class Attribute:
    """An attribute of a node: the number of its type, AttributeProto.AttributeType, and its value."""

    kind: int
    value: float | int | bytes | Array | tuple[float, ...] | tuple[int, ...] | tuple[bytes, ...]


@dataclass(frozen=True)
class Node:
    """One operation; "" among the inputs stands for an optional input that is not used."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True)
class Value:
    """An input or an output of a graph; the size of an axis is None if the graph leaves it open."""

    name: str
    dtype: int
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        dtype = np.dtype(DTYPES[self.dtype]) if self.dtype in DTYPES else f"type {self.dtype}"
        return f"{self.name[:80]} {dtype} ({sides})"


@dataclass(frozen=True)
class OnnxGraph:
    """Nodes in an order in which they can run, and constants by name."""

    opset: int
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def with_outputs(self, names: tuple[str, ...]) -> "OnnxGraph":
        """Return the part of the graph that these of its outputs need."""
        outputs = {value.name: value for value in self.outputs}
        needed = set(names)
        kept = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        return replace(
            self,
            nodes=tuple(reversed(kept)),
            constants={name: array for name, array in self.constants.items() if name in needed},
            inputs=tuple(value for value in self.inputs if value.name in needed),
            outputs=tuple(outputs[name] for name in names),
        )
