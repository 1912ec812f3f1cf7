"""Encode and decode tensors of the Open Inference Protocol v2 (KServe, Triton), REST.

A body is JSON, or JSON followed by raw bytes (Triton's extension for binary tensors), with the
length of the JSON in the header `Inference-Header-Content-Length`. All tensors are FP32.

Bodies are read at a cost that their length bounds: reading stops at the first error, `data` is
skipped until the shape is known to be possible, and no integer of a client takes part in arithmetic
before its size has been checked.
"""

import codecs
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
import numpy as np

from app.api.json_numbers import (
    MAX_RANK,
    NotNumbersError,
    array_shape,
    has_more_values,
    read_numbers,
    write_numbers,
)
from app.errors import LimitError, MalformedBodyError, ParameterError
from app.typing import Floats

T = TypeVar("T")

LENGTH_HEADER = "Inference-Header-Content-Length"
DATATYPE = "FP32"
MAX_FIELD_BYTES = 4096
"""Bytes of the longest `shape`, `parameters` or `outputs`; a thousand times what requests need."""
_LITTLE_ENDIAN = np.dtype("<f4")
_REMEDY = (
    "send the body as the v2 inference protocol describes it; GET /v2/models/NAME lists the tensors"
)

Parameter = bool | int | float | str | None
"""A value of `parameters`; the protocol has no nested ones."""
Parameters = dict[str, Parameter]


_NO_DATA = msgspec.Raw(b"null")
_NO_PARAMETERS = msgspec.Raw(b"{}")


class _Input(msgspec.Struct):
    name: str
    shape: msgspec.Raw
    datatype: str
    data: msgspec.Raw = _NO_DATA
    parameters: msgspec.Raw = _NO_PARAMETERS


class _Output(msgspec.Struct):
    name: str
    parameters: Parameters = {}


class _Request(msgspec.Struct):
    # A tuple, because msgspec reads no further than its length; no function of a model has two inputs.
    inputs: tuple[_Input]
    id: str | None = None
    parameters: msgspec.Raw = _NO_PARAMETERS
    outputs: msgspec.Raw = msgspec.Raw(b"[]")


_REQUEST = msgspec.json.Decoder(_Request)
_PARAMETERS = msgspec.json.Decoder(Parameters)
_SHAPE = msgspec.json.Decoder(list[int])
_OUTPUTS = msgspec.json.Decoder(list[_Output])

_REQUEST_PARAMETERS = {"binary_data_output", "priority", "timeout"}
"""Supported parameters of a request. `priority` and `timeout` change no result and are ignored."""
_INPUT_PARAMETERS = {"binary_data_size", "content_type"}
"""Supported parameters of an input. The only `content_type` is `np`, an array of numbers."""
_OUTPUT_PARAMETERS = {"binary_data"}


@dataclass(frozen=True)
class Inference:
    """An inference request."""

    id: str | None
    name: str
    """Name of the input tensor."""
    values: Floats
    """The input tensor."""
    outputs: Mapping[str, bool]
    """Requested outputs by name, True for raw bytes; empty to request all."""
    binary: bool
    """True to send outputs as raw bytes if `outputs` does not name them."""


def parse(body: bytes, json_length: str | None, *, max_values: int) -> Inference:
    """Parse a request body with at most `max_values` numbers.

    `json_length` is the value of LENGTH_HEADER, None without one. Raises MalformedBodyError,
    ParameterError.
    """
    end = _json_end(body, json_length)
    text = body[:end].removeprefix(codecs.BOM_UTF8)
    if has_more_values(text, max_values + MAX_FIELD_BYTES):
        raise LimitError(
            f"the body has more than the {max_values} numbers of the largest batch",
            limit=max_values,
            remedy="send fewer images",
        )
    request = _decode("the body", text, _REQUEST)
    parameters = _read_field("parameters", request.parameters, _PARAMETERS)
    _check_parameters("the request", parameters, _REQUEST_PARAMETERS)
    binary = _flag("the request", "binary_data_output", parameters, default=False)
    (tensor,) = request.inputs
    values = _read_input(tensor, body[end:], max_values)
    return Inference(
        request.id, tensor.name, values, _read_outputs(request.outputs, binary), binary
    )


def _json_end(body: bytes, json_length: str | None) -> int:
    """Return the number of bytes of JSON in a body."""
    end = len(body)
    if json_length is None:
        return end
    if not (json_length.isascii() and json_length.isdigit() and int(json_length[:18]) <= end):
        raise MalformedBodyError(
            f"{LENGTH_HEADER} is {json_length[:20]!r}, the body has {end} bytes", remedy=_REMEDY
        )
    return int(json_length[:18])


def _decode(title: str, text: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedBodyError(f"{title}: {str(error)[:200]}", remedy=_REMEDY) from error


def _read_field(title: str, raw: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a field that was skipped until its length is known; raises LimitError."""
    text = bytes(raw)
    if len(text) > MAX_FIELD_BYTES:
        raise LimitError(
            f"{title} has {len(text)} bytes, at most {MAX_FIELD_BYTES} are allowed",
            limit=MAX_FIELD_BYTES,
            remedy=_REMEDY,
        )
    return _decode(title, text, decoder)


def _read_input(tensor: _Input, raw: bytes, max_values: int) -> Floats:
    """Return the input tensor.

    With `binary_data_size` its values are the raw bytes, of which none may be left over.
    """
    title = f"input {tensor.name[:80]}"
    if tensor.datatype != DATATYPE:
        raise ParameterError(
            f"{title} has type {tensor.datatype[:20]}, {DATATYPE} is expected",
            remedy=f"send {DATATYPE}",
        )
    parameters = _read_field(f"{title}: parameters", tensor.parameters, _PARAMETERS)
    _check_parameters(title, parameters, _INPUT_PARAMETERS)
    _check_content_type(title, parameters)
    shape = _read_shape(title, tensor.shape, max_values)
    size = parameters.get("binary_data_size", 0)
    if type(size) is not int or not 0 <= size <= len(raw) or size % 4:
        raise MalformedBodyError(
            f"{title}: binary_data_size is {str(size)[:20]}, {len(raw)} bytes are left",
            remedy=_REMEDY,
        )
    if len(raw) > size:
        raise MalformedBodyError(
            f"{len(raw) - size} bytes at the end of the body belong to no tensor", remedy=_REMEDY
        )
    if "binary_data_size" in parameters:
        values = np.frombuffer(raw, _LITTLE_ENDIAN).astype(np.float32)
    else:
        values = _numbers(title, tensor.data, shape)
    return _shaped(title, values, shape)


def _check_content_type(title: str, parameters: Parameters) -> None:
    content_type = parameters.get("content_type", "np")
    if content_type != "np":
        raise ParameterError(
            f"{title}: content_type is {str(content_type)[:20]!r}, only 'np' is supported",
            remedy="leave content_type out",
        )


def _read_shape(title: str, raw: msgspec.Raw, max_values: int) -> list[int]:
    """Return a shape of a few numbers that are small enough to be multiplied."""
    shape = _read_field(f"{title}: shape", raw, _SHAPE)
    if len(shape) > MAX_RANK:
        raise LimitError(
            f"{title}: the shape has {len(shape)} dimensions, at most {MAX_RANK} are allowed",
            limit=MAX_RANK,
            remedy=_REMEDY,
        )
    if max(shape, default=0) > max_values:
        raise _misfit(title, shape, f"the at most {max_values} numbers of a request")
    return shape


def _numbers(title: str, data: msgspec.Raw, shape: Sequence[int]) -> Floats:
    """Return the numbers of `data` as one row; its nesting does not have to be that of the shape."""
    try:
        text = b"[]" if data == _NO_DATA else data
        count = _product(array_shape(text))
        if count != _product(shape):
            raise _misfit(title, shape, f"{count} numbers")
        values = read_numbers(text, count)
    except NotNumbersError as error:
        raise ParameterError(f"{title}: data is {error}", remedy=_REMEDY) from error
    except OverflowError as error:
        raise _not_finite(title) from error
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _shaped(title: str, values: Floats, shape: Sequence[int]) -> Floats:
    if not shape or min(shape) < 0 or _product(shape) != values.size:
        raise _misfit(title, shape, f"{values.size} numbers")
    if not np.isfinite(values).all():
        raise _not_finite(title)
    return values.reshape(shape)


def _product(shape: Sequence[int]) -> int:
    """Return the number of values; 0 for a shape without dimensions, which no tensor has."""
    return math.prod(shape) if shape else 0


def _misfit(title: str, shape: Sequence[int], numbers: str) -> ParameterError:
    text = ", ".join(str(length)[:12] for length in shape)
    return ParameterError(
        f"{title}: the shape [{text}] does not fit {numbers}",
        remedy="send as many numbers as the shape has",
    )


def _not_finite(title: str) -> ParameterError:
    return ParameterError(
        f"{title} has numbers that are not finite", remedy="send finite numbers of float32"
    )


def _read_outputs(raw: msgspec.Raw, binary: bool) -> dict[str, bool]:
    """Return the requested outputs by name, True for raw bytes."""
    outputs: dict[str, bool] = {}
    for output in _read_field("outputs", raw, _OUTPUTS):
        title = f"output {output.name[:80]}"
        if output.name in outputs:
            raise ParameterError(f"{title} is repeated", remedy="request it once")
        _check_parameters(title, output.parameters, _OUTPUT_PARAMETERS)
        outputs[output.name] = _flag(title, "binary_data", output.parameters, default=binary)
    return outputs


def _check_parameters(title: str, parameters: Parameters, supported: set[str]) -> None:
    """Raise ParameterError for the first parameter that is not supported.

    A client that sends it expects another result than it would get, such as labels instead of
    numbers (`classification`, the class_count of tritonclient) or no body (`shared_memory_region`).
    """
    for name in parameters:
        if name not in supported:
            raise ParameterError(
                f"{title}: the parameter {name[:80]!r} is not supported",
                remedy=f"leave it out; supported: {', '.join(sorted(supported))}",
            )


def _flag(title: str, name: str, parameters: Parameters, *, default: bool) -> bool:
    value = parameters.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise ParameterError(
            f"{title}: {name} is {str(value)[:20]!r}, true or false is expected",
            remedy="send true or false",
        )
    return value


def json_values(inference: Inference, outputs: Mapping[str, Floats]) -> int:
    """Return the number of values that `render` writes as JSON numbers."""
    return sum(
        outputs[name].size
        for name in inference.outputs or outputs
        if not inference.outputs.get(name, inference.binary)
    )


def render(
    inference: Inference, outputs: Mapping[str, Floats], *, model_name: str, model_version: str
) -> tuple[bytes, dict[str, str]]:
    """Return body and headers of the answer, with the requested outputs."""
    names = tuple(inference.outputs or outputs)
    binary = {name: inference.outputs.get(name, inference.binary) for name in names}
    document: dict[str, Any] = {"model_name": model_name, "model_version": model_version}
    if inference.id is not None:
        document["id"] = inference.id
    head = "".join(_json(document, {name: outputs[name] for name in names}, binary)).encode()
    raw = [
        np.ascontiguousarray(outputs[name], _LITTLE_ENDIAN).tobytes()
        for name in names
        if binary[name]
    ]
    if not raw:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(head))}
    return b"".join([head, *raw]), headers


def _json(
    document: Mapping[str, Any], outputs: Mapping[str, Floats], binary: Mapping[str, bool]
) -> Iterator[str]:
    """Yield the parts of the document as `json.dumps` writes it, with the output tensors."""
    yield json.dumps(document)[:-1]
    separator = ', "outputs": ['
    for name, values in outputs.items():
        yield separator
        separator = ", "
        tensor = {"name": name, "datatype": DATATYPE, "shape": list(values.shape)}
        if binary[name]:
            yield json.dumps(tensor | {"parameters": {"binary_data_size": values.size * 4}})
        else:
            yield f'{json.dumps(tensor)[:-1]}, "data": '
            yield from write_numbers(values)
            yield "}"
    yield "]}"
