"""An exact network as a file: exact.safetensors.

Arrays are tensors of the file, named `<function>.<place>.<field>`. The file's metadata has one
entry, `program`: the name of the arithmetic, a space, and everything else as JSON. (One entry,
because safetensors writes several in no fixed order.)
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from model_store.arithmetic import ARITHMETIC
from model_store.arithmetic.program import KINDS, Coupling, ExactNetwork, Function, Operation
from model_store.errors import CorruptVersionError

DTYPES = {
    "weight": np.int16,
    "bias": np.int32,
    "exponent": np.int32,
    "scale": np.float32,
}
"""Type of each array by its field; OTHER_DTYPES lists the exceptions."""
OTHER_DTYPES = {
    ("latent_dense", "weight"): np.int32,
    ("latent_dense", "bias"): np.int64,
    ("affine", "scale"): np.int16,
}

MAX_OPERATIONS = 4096
"""Largest number of operations of one function; the longest of a shipped version has 30."""
LOG_SCALE = "log_scale"
METADATA = "program"


def to_bytes(network: ExactNetwork) -> bytes:
    """Serialise a network; equal networks give equal bytes."""
    tensors: dict[str, NDArray[Any]] = {}
    program = {
        "encode": _describe("encode", network.encode, tensors),
        "decode": _describe("decode", network.decode, tensors),
        "flow": [
            {"kept": coupling.kept, "net": _describe(f"flow.{i}", coupling.net, tensors)}
            for i, coupling in enumerate(network.flow)
        ],
    }
    if network.log_scale is not None:
        tensors[LOG_SCALE] = network.log_scale
    text = json.dumps(program, separators=(",", ":"), sort_keys=True)
    return safetensors.numpy.save(tensors, {METADATA: f"{ARITHMETIC} {text}"})


def from_bytes(content: bytes) -> ExactNetwork:
    """Read a network; raises CorruptVersionError if it is damaged or of another arithmetic."""
    try:
        tensors = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        arithmetic, _, text = str(metadata[METADATA]).partition(" ")
        if arithmetic != ARITHMETIC:
            raise CorruptVersionError(
                f"arithmetic {arithmetic[:80]!r} is not supported; expected {ARITHMETIC!r}"
            )
        program = json.loads(text)
        network = ExactNetwork(
            encode=_build("encode", program["encode"], tensors),
            decode=_build("decode", program["decode"], tensors),
            flow=tuple(
                Coupling(_kept(entry["kept"]), _build(f"flow.{i}", entry["net"], tensors))
                for i, entry in enumerate(program["flow"])
            ),
            log_scale=_log_scale(tensors),
        )
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CorruptVersionError(f"exact network is unreadable: {error}") from error
    if tensors:
        raise CorruptVersionError(f"no operation uses tensor {min(tensors)}")
    return network


def _log_scale(tensors: dict[str, NDArray[Any]]) -> NDArray[np.float32] | None:
    log_scale = tensors.pop(LOG_SCALE, None)
    if log_scale is not None and log_scale.dtype != np.float32:
        raise ValueError(f"{LOG_SCALE} is {log_scale.dtype}, expected float32")
    return log_scale


def _kept(value: object) -> Any:
    if value not in {0, 1}:
        raise ValueError(f"a coupling keeps dimensions 0 or 1, not {value!r}")
    return value


def _describe(
    name: str, function: Function, tensors: dict[str, NDArray[Any]]
) -> list[dict[str, Any]]:
    """Move the arrays of a function into `tensors`, and return the rest as JSON."""
    entries = []
    for place, operation in enumerate(function):
        entry: dict[str, Any] = {"kind": operation.kind}
        for item in fields(operation):
            value = getattr(operation, item.name)
            if isinstance(value, np.ndarray):
                tensors[f"{name}.{place}.{item.name}"] = np.ascontiguousarray(value)
            elif item.name != "kind":
                entry[item.name] = list(value) if isinstance(value, tuple) else value
        entries.append(entry)
    return entries


def _build(
    name: str, entries: Sequence[Mapping[str, Any]], tensors: dict[str, NDArray[Any]]
) -> Function:
    if len(entries) > MAX_OPERATIONS:
        raise ValueError(f"{name} has {len(entries)} operations, at most {MAX_OPERATIONS} are read")
    return tuple(_operation(f"{name}.{i}", entry, tensors) for i, entry in enumerate(entries))


def _operation(
    prefix: str, entry: Mapping[str, Any], tensors: dict[str, NDArray[Any]]
) -> Operation:
    """Build one operation, taking its arrays out of `tensors`; raises ValueError or KeyError."""
    kind = entry["kind"]
    arguments: dict[str, Any] = {}
    for item in fields(KINDS[kind]):
        if item.name == "kind":
            continue
        tensor = tensors.pop(f"{prefix}.{item.name}", None)
        if tensor is not None:
            expected = OTHER_DTYPES.get((kind, item.name), DTYPES[item.name])
            if tensor.dtype != expected:
                raise ValueError(f"{prefix}.{item.name} is {tensor.dtype}, expected {expected}")
            arguments[item.name] = tensor
            continue
        value = entry[item.name]
        arguments[item.name] = tuple(value) if isinstance(value, list) else value
    unknown = entry.keys() - arguments.keys() - {"kind"}
    if unknown:
        raise ValueError(f"{prefix} has unknown fields {sorted(unknown)}")
    return KINDS[kind](**arguments)
