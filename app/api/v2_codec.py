"""Encode and decode tensors of the Open Inference Protocol v2 (KServe, Triton), REST.

A body is JSON, or JSON followed by raw bytes (Triton's extension for binary tensors), with the
length of the JSON in the header `Inference-Header-Content-Length`. All tensors are FP32.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from app.errors import MalformedBodyError, ParameterError
from app.typing import Floats

LENGTH_HEADER = "Inference-Header-Content-Length"
DATATYPE = "FP32"
_LITTLE_ENDIAN = np.dtype("<f4")
_REMEDY = (
    "send the body as the v2 inference protocol describes it; GET /v2/models/NAME lists the tensors"
)


class _Input(BaseModel):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | None = None
    parameters: dict[str, Any] = {}


class _Output(BaseModel):
    name: str
    parameters: dict[str, Any] = {}


class _Request(BaseModel):
    id: str | None = None
    parameters: dict[str, Any] = {}
    inputs: list[_Input] = Field(min_length=1)
    outputs: list[_Output] = []


@dataclass(frozen=True)
class Inference:
    """An inference request."""

    id: str | None
    inputs: Mapping[str, Floats]
    """Input tensors by name."""
    outputs: Mapping[str, bool]
    """Requested outputs by name, True for raw bytes; empty to request all."""
    binary: bool
    """True to send outputs as raw bytes if `outputs` does not name them."""


def parse(body: bytes, json_length: str | None) -> Inference:
    """Parse a request body.

    `json_length` is the value of LENGTH_HEADER, None without one. Raises MalformedBodyError,
    ParameterError.
    """
    end = len(body)
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdigit() and int(json_length[:18]) <= end):
            raise MalformedBodyError(
                f"{LENGTH_HEADER} is {json_length[:20]!r}, the body has {end} bytes",
                remedy=_REMEDY,
            )
        end = int(json_length)
    try:
        request = _Request.model_validate_json(body[:end])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = ".".join(str(part) for part in first["loc"])[:80]
        raise MalformedBodyError(
            f"{location or 'the body'}: {first['msg']}", remedy=_REMEDY
        ) from error
    binary = request.parameters.get("binary_data_output") is True
    return Inference(
        request.id,
        _inputs(request.inputs, body[end:]),
        {o.name: o.parameters.get("binary_data", binary) is True for o in request.outputs},
        binary,
    )


def _inputs(inputs: list[_Input], raw: bytes) -> dict[str, Floats]:
    """Return the input tensors.

    Tensors with `binary_data_size` take their values from the raw bytes, in order; no byte may be
    left over.
    """
    tensors: dict[str, Floats] = {}
    for tensor in inputs:
        if tensor.name in tensors:
            raise ParameterError(f"input {tensor.name[:80]} is repeated", remedy="send it once")
        if tensor.datatype != DATATYPE:
            raise ParameterError(
                f"input {tensor.name[:80]} has type {tensor.datatype[:20]}, {DATATYPE} is expected",
                remedy=f"send {DATATYPE}",
            )
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            values = _numbers(tensor)
        elif isinstance(size, int) and 0 <= size <= len(raw) and size % 4 == 0:
            values = np.frombuffer(raw[:size], _LITTLE_ENDIAN).astype(np.float32)
            raw = raw[size:]
        else:
            raise MalformedBodyError(
                f"input {tensor.name[:80]}: binary_data_size is {str(size)[:20]}, "
                f"{len(raw)} bytes are left",
                remedy=_REMEDY,
            )
        tensors[tensor.name] = _shaped(tensor, values)
    if raw:
        raise MalformedBodyError(
            f"{len(raw)} bytes at the end of the body belong to no tensor", remedy=_REMEDY
        )
    return tensors


def _numbers(tensor: _Input) -> Floats:
    try:
        with np.errstate(over="ignore"):
            return np.array(tensor.data, np.float64).ravel().astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"input {tensor.name[:80]}: data is not an array of numbers", remedy=_REMEDY
        ) from error


def _shaped(tensor: _Input, values: Floats) -> Floats:
    shape = tuple(tensor.shape)
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise ParameterError(
            f"input {tensor.name[:80]}: the shape {str(list(shape))[:60]} does not fit "
            f"{values.size} numbers",
            remedy="send as many numbers as the shape has",
        )
    if not np.isfinite(values).all():
        raise ParameterError(
            f"input {tensor.name[:80]} has numbers that are not finite",
            remedy="send finite numbers",
        )
    return values.reshape(shape)


def render(
    inference: Inference, outputs: Mapping[str, Floats], *, model_name: str, model_version: str
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the answer, with the requested outputs."""
    tensors, raw = [], []
    for name in inference.outputs or outputs:
        values = np.ascontiguousarray(outputs[name], _LITTLE_ENDIAN)
        tensor: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": list(values.shape)}
        if inference.outputs.get(name, inference.binary):
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            raw.append(values.tobytes())
        else:
            tensor["data"] = values.ravel().tolist()
        tensors.append(tensor)
    document: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if inference.id is not None:
        document["id"] = inference.id
    head = json.dumps(document | {"outputs": tensors}).encode()
    if not raw:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
    return b"".join([head, *raw]), headers
