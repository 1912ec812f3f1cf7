"""Read the file of a graph that was made elsewhere; raise GraphError for everything unexpected.

Field numbers are those of onnx/onnx.proto. The work is bounded: by the size of the file, the number of
its fields, nodes and constants, and because a constant has to hold the numbers that its shape asks for.
"""

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model_store.errors import GraphError
from model_store.graphs.graph import DTYPES, Array, Attribute, Node, OnnxGraph, Value
from model_store.protobuf import WireError, fields, signed, varints
from model_store.spec import MAX_GRAPH_BYTES

MAX_FIELDS = 2**17
"""Largest number of fields of a file, which is read in tens of milliseconds."""
MAX_NODES = 2048
MAX_CONSTANTS = 4096
MAX_RANK = 8
MAX_NAME = 512
"""Largest number of bytes of a name."""
MAX_VARINTS = 2**16
"""Largest number of integers that are not stored as raw bytes."""
OPSETS = range(7, 26)
"""Versions of ONNX's operators that are read."""

_ATTRIBUTE_FIELDS = {2: 1, 3: 2, 4: 3, 5: 4, 7: 6, 8: 7, 9: 8}
"""Fields of attributes that are read -> the type of an attribute that has its value there: a float, an
integer, a text, a tensor, or several floats, integers, texts. Others are graphs, for example."""
_SINGLE = range(1, 5)
"""Types of attributes that have one value."""
_OWN_DOMAINS = {"", "ai.onnx"}

ExternalData = Callable[[str, int, int], bytes]
"""Function of a location, an offset and a length (bytes): reads a part of another file."""


def read_graph(content: bytes, external: ExternalData | None = None) -> OnnxGraph:
    """Return the graph of an ONNX file; raises GraphError.

    `external` reads parts of other files, for constants that lie there; None refuses such constants.
    """
    if len(content) > MAX_GRAPH_BYTES:
        raise GraphError(f"it has {len(content):,} bytes, at most {MAX_GRAPH_BYTES:,} are read")
    try:
        return _Reader(external).model(memoryview(content))
    except (WireError, UnicodeDecodeError) as error:
        raise GraphError(f"it is not a file of ONNX: {error}") from error


@dataclass
class _Numbers:
    """The numbers of a constant: raw bytes, or fields by their number in TensorProto."""

    raw: memoryview | None = None
    floats: bytes = b""
    """Packed field 4, or 10 for float64."""
    integers: list[int] = field(default_factory=list)
    """Field 5, or 7 for int64."""

    def add(self, number: int, value: object) -> None:
        """Add a field, if it holds numbers."""
        if number == 9:
            self.raw = _message(value)
        elif number in {4, 10}:
            self.floats += bytes(_message(value))
        elif number in {5, 7}:
            self.integers.extend(_integers(value))
            _at_most(len(self.integers), MAX_VARINTS, "integers that are not raw bytes")

    def values(self, dtype: type[np.generic]) -> Array:
        """Return the numbers as a type, in one axis; raises GraphError."""
        if self.raw is not None:
            if len(self.raw) % np.dtype(dtype).itemsize:
                raise GraphError(f"a constant of {dtype.__name__} has {len(self.raw):,} bytes")
            return np.frombuffer(self.raw, dtype)
        if dtype in {np.float32, np.float64}:
            if len(self.floats) % np.dtype(dtype).itemsize:
                raise GraphError(f"a constant of {dtype.__name__} has {len(self.floats):,} bytes")
            return np.frombuffer(self.floats, dtype)
        try:
            if dtype is np.float16:
                return np.array(self.integers, np.uint16).view(np.float16)
            return np.array(self.integers, dtype)
        except OverflowError as error:
            raise GraphError(
                f"a constant holds an integer that {dtype.__name__} does not"
            ) from error


class _Reader:
    """Reads one file, and counts its fields."""

    def __init__(self, external: ExternalData | None) -> None:
        self._external = external
        self._fields = 0

    def model(self, message: memoryview) -> OnnxGraph:
        graph, opset = None, None
        for number, value in self._read(message):
            match number:
                case 7:
                    graph = _message(value)
                case 8:
                    domain, version = self._opset(_message(value))
                    opset = version if domain in _OWN_DOMAINS else opset
                case 20 | 25:
                    what = "training steps" if number == 20 else "functions of its own"
                    raise GraphError(f"it has {what}; export it for inference, without them")
        if graph is None:
            raise GraphError("it is not a file of ONNX: it has no graph")
        if opset is None or opset not in OPSETS:
            raise GraphError(
                f"it has opset {opset}; {OPSETS.start} to {OPSETS.stop - 1} are read; export it again"
            )
        return self._graph(graph, opset)

    def _graph(self, message: memoryview, opset: int) -> OnnxGraph:
        nodes: list[Node] = []
        constants: dict[str, Array] = {}
        inputs: list[Value] = []
        outputs: list[Value] = []
        for number, value in self._read(message):
            match number:
                case 1:
                    nodes.append(self._node(_message(value)))
                    _at_most(len(nodes), MAX_NODES, "nodes")
                case 5:
                    name, array = self._tensor(_message(value))
                    constants[name] = array
                    _at_most(len(constants), MAX_CONSTANTS, "constants")
                case 11:
                    inputs.append(self._value(_message(value)))
                case 12:
                    outputs.append(self._value(_message(value)))
                case 15:
                    raise GraphError("it has sparse constants, which are not supported")
        own_inputs = tuple(value for value in inputs if value.name not in constants)
        graph = OnnxGraph(opset, tuple(nodes), constants, own_inputs, tuple(outputs))
        _check_names(graph)
        return graph

    def _node(self, message: memoryview) -> Node:
        inputs: list[str] = []
        outputs: list[str] = []
        attributes: dict[str, Attribute] = {}
        operator = domain = ""
        for number, value in self._read(message):
            match number:
                case 1:
                    inputs.append(_name(value))
                case 2:
                    outputs.append(_name(value))
                case 4:
                    operator = _name(value)
                case 5:
                    name, attribute = self._attribute(_message(value))
                    attributes[name] = attribute
                case 7:
                    domain = _name(value)
                case 8:
                    raise GraphError("it calls a function of its own; export it without them")
        if domain not in _OWN_DOMAINS:
            raise GraphError(
                f"it needs the custom operator {domain[:80]}.{operator[:80]}; only operators of ONNX "
                "are run"
            )
        return Node(operator, tuple(inputs), tuple(outputs), attributes)

    def _attribute(self, message: memoryview) -> tuple[str, Attribute]:
        name, kind = "", 0
        values: dict[int, list[Any]] = {}
        for number, value in self._read(message):
            if number == 1:
                name = _name(value)
            elif number == 20:
                kind = _integer(value)
            elif number == 21:
                raise GraphError(f"attribute {name[:80]} refers to a function; export without them")
            elif number in _ATTRIBUTE_FIELDS:
                values.setdefault(number, []).extend(self._attribute_values(number, value))
        if kind not in _ATTRIBUTE_FIELDS.values():
            raise GraphError(
                f"attribute {name[:80]} is of type {kind}, such as a graph; only numbers, texts and "
                "tensors are read"
            )
        matching = [
            value
            for number, each in values.items()
            if _ATTRIBUTE_FIELDS[number] == kind
            for value in each
        ]
        if kind in _SINGLE:
            if not matching:
                raise GraphError(f"attribute {name[:80]} has no value of its type")
            return name, Attribute(kind, matching[-1])
        return name, Attribute(kind, tuple(matching))

    def _attribute_values(self, number: int, value: object) -> list[Any]:
        """Return the values of one field of an attribute."""
        match number:
            case 2:
                return [_float(value)]
            case 3:
                return [signed(_integer(value))]
            case 5:
                return [self._tensor(_message(value))[1]]
            case 7:
                return _floats(value)
            case 8:
                return _integers(value)
            case _:
                return [bytes(_message(value))]

    def _tensor(self, message: memoryview) -> tuple[str, Array]:
        name, dtype = "", 0
        shape: list[int] = []
        numbers = _Numbers()
        external: dict[str, str] = {}
        elsewhere = False
        for number, value in self._read(message):
            match number:
                case 1:
                    shape.extend(_integers(value))
                    _at_most(len(shape), MAX_RANK, "axes of a constant")
                case 2:
                    dtype = _integer(value)
                case 8:
                    name = _name(value)
                case 13:
                    external |= self._entry(_message(value))
                case 14:
                    elsewhere = bool(_integer(value))
                case _:
                    numbers.add(number, value)
        if dtype not in DTYPES:
            raise GraphError(f"constant {name[:80]} is of type {dtype}, which is not supported")
        if elsewhere or external:
            numbers.raw = self._from_elsewhere(name, external)
        return name, _array(name, DTYPES[dtype], shape, numbers)

    def _from_elsewhere(self, name: str, entries: dict[str, str]) -> memoryview:
        """Return the bytes of a constant that lies in another file."""
        if self._external is None:
            raise GraphError(
                f"constant {name[:80]} lies in another file; save the graph as one file"
            )
        offset, length = entries.get("offset", "0"), entries.get("length", "")
        if not offset.isdecimal() or not length.isdecimal() or len(offset + length) > 40:
            raise GraphError(f"constant {name[:80]} lies in another file, without a place in it")
        content = self._external(entries.get("location", ""), int(offset), int(length))
        return memoryview(content)

    def _entry(self, message: memoryview) -> dict[str, str]:
        """Return an entry of text as a dictionary of one key."""
        key = text = ""
        for number, value in self._read(message):
            if number == 1:
                key = _name(value)
            if number == 2:
                text = _name(value)
        return {key: text}

    def _value(self, message: memoryview) -> Value:
        name, dtype, shape = "", 0, None
        for number, value in self._read(message):
            if number == 1:
                name = _name(value)
            if number == 2:
                for kind, described in self._read(_message(value)):
                    if kind != 1:
                        raise GraphError(f"{name[:80]} is not a tensor")
                    dtype, shape = self._tensor_type(_message(described))
        if shape is None:
            raise GraphError(f"{name[:80]} has no shape; export the graph with shapes")
        return Value(name, dtype, shape)

    def _tensor_type(self, message: memoryview) -> tuple[int, tuple[int | None, ...] | None]:
        dtype, shape = 0, None
        for number, value in self._read(message):
            if number == 1:
                dtype = _integer(value)
            if number == 2:
                axes = [axis for number, axis in self._read(_message(value)) if number == 1]
                _at_most(len(axes), MAX_RANK, "axes")
                shape = tuple(self._side(_message(axis)) for axis in axes)
        return dtype, shape

    def _side(self, message: memoryview) -> int | None:
        side = None
        for number, value in self._read(message):
            if number == 1:
                side = signed(_integer(value))
        return side if side is not None and side > 0 else None

    def _opset(self, message: memoryview) -> tuple[str, int]:
        domain, version = "", 0
        for number, value in self._read(message):
            if number == 1:
                domain = _name(value)
            if number == 2:
                version = signed(_integer(value))
        return domain, version

    def _read(self, message: memoryview) -> Iterator[tuple[int, Any]]:
        for number, _, value in fields(message):
            self._fields += 1
            _at_most(self._fields, MAX_FIELDS, "fields")
            yield number, value


def _check_names(graph: OnnxGraph) -> None:
    """Raise GraphError unless every value is made once, and before it is used."""
    defined = {*graph.constants, *(value.name for value in graph.inputs), ""}
    for node in graph.nodes:
        missing = set(node.inputs) - defined
        if missing:
            raise GraphError(
                f"{node.operator[:80]} reads {min(missing)[:80]!r}, which nothing made"
            )
        made = [name for name in node.outputs if name]
        if defined.intersection(made) or len(set(made)) < len(made):
            raise GraphError(f"{node.operator[:80]} makes {made[0][:80]!r} for the second time")
        defined.update(made)
    for value in graph.outputs:
        if value.name not in defined:
            raise GraphError(f"nothing makes the output {value.name[:80]!r}")


def _array(name: str, dtype: type[np.generic], shape: list[int], numbers: _Numbers) -> Array:
    """Return a constant; raises GraphError unless it has as many numbers as its shape asks for."""
    if min(shape, default=0) < 0:
        raise GraphError(f"constant {name[:80]} has a negative size")
    values = numbers.values(dtype)
    if values.size != math.prod(shape):
        raise GraphError(
            f"constant {name[:80]} of shape {tuple(shape)} has {values.size:,} numbers, expected "
            f"{math.prod(shape):,}"
        )
    if np.issubdtype(dtype, np.floating) and not np.isfinite(values).all():
        raise GraphError(
            f"constant {name[:80]} holds numbers that are NaN or infinite; train it again"
        )
    return values.reshape(shape)


def _at_most(number: int, most: int, what: str) -> None:
    if number > most:
        raise GraphError(f"it has more than {most:,} {what}")


def _message(value: object) -> memoryview:
    if not isinstance(value, memoryview):
        raise WireError("a field holds an integer, expected bytes")
    return value


def _name(value: object) -> str:
    content = bytes(_message(value))
    _at_most(len(content), MAX_NAME, "bytes in a name")
    return content.decode()


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise WireError("a field holds bytes, expected an integer")
    return value


def _integers(value: object) -> list[int]:
    """Return the integers of a repeated field, packed or not."""
    if isinstance(value, int):
        return [signed(value)]
    packed = _message(value)
    _at_most(len(packed), 10 * MAX_VARINTS, "bytes of integers that are not raw bytes")
    return list(varints(packed))


def _float(value: object) -> float:
    content = _message(value)
    if len(content) != 4:
        raise WireError(f"a float has {len(content)} bytes")
    number: float = struct.unpack("<f", content)[0]
    if not math.isfinite(number):
        raise GraphError("an attribute is NaN or infinite")
    return number


def _floats(value: object) -> list[float]:
    content = _message(value)
    if len(content) % 4 or len(content) > 4 * MAX_VARINTS:
        raise WireError(f"a list of floats has {len(content)} bytes")
    return [_float(content[place : place + 4]) for place in range(0, len(content), 4)]
