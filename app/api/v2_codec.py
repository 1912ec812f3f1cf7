"""Tensors as the KServe and Triton v2 protocol writes them: JSON, or JSON followed by raw bytes.

Open Inference Protocol v2, REST; and Triton's extension for binary tensors, where the header
`Inference-Header-Content-Length` says how long the JSON is. All tensors here are FP32.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from app.errors import MalformedBodyError, ParameterError

Floats = NDArray[np.float32]

LENGTH_HEADER = "Inference-Header-Content-Length"
DATATYPE = "FP32"
_LITTLE_ENDIAN = np.dtype("<f4")
_REMEDY = "send the body as the v2 inference protocol describes it; GET /v2/models/NAME says more"


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
    """A request: tensors by name, and which outputs are wanted, as raw bytes or not."""

    id: str | None
    inputs: Mapping[str, Floats]
    outputs: Mapping[str, bool]
    binary: bool


def parse(body: bytes, json_length: str | None) -> Inference:
    """The request in a body; raises MalformedBodyError, ParameterError."""
    end = len(body)
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdigit() and int(json_length[:18]) <= end):
            raise MalformedBodyError(
                f"{LENGTH_HEADER} is {json_length[:20]!r}, and the body has {end} bytes",
                remedy=_REMEDY,
            )
        end = int(json_length)
    try:
        request = _Request.model_validate_json(body[:end])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:80]
        raise MalformedBodyError(
            f"{place or 'the body'}: {first['msg']}", remedy=_REMEDY
        ) from error
    binary = request.parameters.get("binary_data_output") is True
    return Inference(
        request.id,
        _inputs(request.inputs, body[end:]),
        {o.name: o.parameters.get("binary_data", binary) is True for o in request.outputs},
        binary,
    )


def _inputs(inputs: list[_Input], raw: bytes) -> dict[str, Floats]:
    """Those without data take theirs from the raw bytes, in order; nothing may be left over."""
    tensors: dict[str, Floats] = {}
    for tensor in inputs:
        if tensor.name in tensors:
            raise ParameterError(f"input {tensor.name[:80]} is given twice", remedy="send it once")
        if tensor.datatype != DATATYPE:
            raise ParameterError(
                f"input {tensor.name[:80]} is {tensor.datatype[:20]}, {DATATYPE} is expected",
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
                f"and {len(raw)} bytes are left",
                remedy=_REMEDY,
            )
        tensors[tensor.name] = _shaped(tensor, values)
    if raw:
        raise MalformedBodyError(
            f"{len(raw)} bytes of the body belong to no tensor", remedy=_REMEDY
        )
    return tensors


def _numbers(tensor: _Input) -> Floats:
    try:
        with np.errstate(over="ignore"):
            return np.array(tensor.data, np.float64).ravel().astype(np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"input {tensor.name[:80]}: data is no array of numbers", remedy=_REMEDY
        ) from error


def _shaped(tensor: _Input, values: Floats) -> Floats:
    shape = tuple(tensor.shape)
    if min(shape, default=0) < 0 or math.prod(shape) != values.size:
        raise ParameterError(
            f"input {tensor.name[:80]}: the shape {str(list(shape))[:60]} does not fit "
            f"{values.size} numbers",
            remedy="send as many numbers as the shape says",
        )
    if not np.isfinite(values).all():
        raise ParameterError(
            f"input {tensor.name[:80]} has numbers that are not finite", remedy="send finite ones"
        )
    return values.reshape(shape)


def render(
    inference: Inference, outputs: Mapping[str, Floats], **facts: str
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer with the outputs that were asked for, or with all."""
    described, raw = [], []
    for name in inference.outputs or outputs:
        values = np.ascontiguousarray(outputs[name], _LITTLE_ENDIAN)
        tensor: dict[str, Any] = {"name": name, "datatype": DATATYPE, "shape": list(values.shape)}
        if inference.outputs.get(name, inference.binary):
            tensor["parameters"] = {"binary_data_size": values.nbytes}
            raw.append(values.tobytes())
        else:
            tensor["data"] = values.ravel().tolist()
        described.append(tensor)
    said = {} if inference.id is None else {"id": inference.id}
    head = json.dumps({**facts, **said, "outputs": described}).encode()
    if not raw:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
    return b"".join([head, *raw]), headers
