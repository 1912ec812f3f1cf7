"""Requests of the v2 inference protocol for a model with z (batch, 3)."""

import json
import struct
from collections.abc import Iterator
from typing import Any

from tests.hostile.case import Case

INFER = "/v2/models/mnist/infer"
LENGTH = "Inference-Header-Content-Length"


def tensor(**changes: Any) -> dict[str, Any]:
    """Return a valid input with changes; None leaves a key out."""
    whole = {"name": "z", "shape": [1, 3], "datatype": "FP32", "data": [0, 0, 0]} | changes
    return {key: value for key, value in whole.items() if value is not ...}


def document(*inputs: Any, **others: Any) -> bytes:
    return json.dumps(
        {"inputs": list(inputs) or [tensor()]} | others, separators=(",", ":")
    ).encode()


def cases() -> Iterator[Case]:
    for name, content in refused():
        yield Case(f"{name}.json", content, 400, target=INFER, content_type="application/json")
    for name, content, length in binary():
        headers = () if length is None else ((LENGTH, length),)
        yield Case(
            f"binary_{name}.bin",
            content,
            400,
            target=INFER,
            content_type="application/octet-stream",
            headers=headers,
        )
    for name, target, status in (
        ("model_unknown", "/v2/models/nothing/infer", 404),
        ("model_traversal", "/v2/models/..%2F..%2Fetc/infer", 404),
        ("model_name_invalid", "/v2/models/No%20Such/infer", 400),
        ("version_unknown", "/v2/models/mnist/versions/9/infer", 404),
        ("version_negative", "/v2/models/mnist/versions/-1/infer", 400),
        ("version_of_5000_digits", f"/v2/models/mnist/versions/{'9' * 5000}/infer", 400),
        ("method_get", "GET /v2/models/mnist/infer", 405),
        ("path_unknown", "/v2/models/mnist/guess", 404),
    ):
        yield Case(
            f"{name}.json", document(), status, target=target, content_type="application/json"
        )


def refused() -> Iterator[tuple[str, bytes]]:
    """Everything here is the client's fault, for which the protocol has 400."""
    for name, content in {
        "empty": b"",
        "word": b"hello",
        "null": b"null",
        "array": b"[]",
        "cut": document()[:-5],
        "depth_50000": b'{"inputs":' + b"[" * 50_000,
        "parameters_depth_50000": b'{"parameters": {"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}",
        "nan": document(tensor(data=[float("nan"), 0, 0])),
        "infinity": document(tensor(data=[float("inf"), 0, 0])),
        "number_1e999": document().replace(b"[0,0,0]", b"[1e999,0,0]"),
        "number_of_100000_digits": document().replace(
            b"[0,0,0]", b"[1" + b"0" * 100_000 + b",0,0]"
        ),
        "utf16": document().decode().encode("utf-16"),
    }.items():
        yield name, content
    inputs_of: dict[str, Any] = {
        "inputs_null": None,
        "inputs_empty": [],
        "inputs_object": {"z": [0, 0, 0]},
        "inputs_of_numbers": [1, 2, 3],
        "inputs_twice": [tensor(), tensor()],
        "inputs_z_and_image": [
            tensor(),
            tensor(name="image", shape=[1, 1, 28, 28], data=[0] * 784),
        ],
        "inputs_300000_empty": [{}] * 300_000,
        "inputs_10000": [tensor(name=f"z{i}") for i in range(10_000)],
    }
    for name, inputs in inputs_of.items():
        yield name, json.dumps({"inputs": inputs}, separators=(",", ":")).encode()
    changes_of: dict[str, dict[str, Any]] = {
        "name_missing": {"name": ...},
        "name_unknown": {"name": "x"},
        "name_of_an_output": {"name": "mu"},
        "name_of_100000_characters": {"name": "z" * 100_000},
        "name_number": {"name": 1},
        "datatype_missing": {"datatype": ...},
        "datatype_fp64": {"datatype": "FP64"},
        "datatype_bytes": {"datatype": "BYTES"},
        "datatype_unknown": {"datatype": "OBJECT"},
        "datatype_lower_case": {"datatype": "fp32"},
        "shape_missing": {"shape": ...},
        "shape_empty": {"shape": []},
        "shape_empty_without_data": {"shape": [], "data": ...},
        "shape_empty_and_data_empty": {"shape": [], "data": []},
        "shape_zero": {"shape": [0, 3], "data": []},
        "shape_negative": {"shape": [-1, 3]},
        "shape_two_negatives": {"shape": [-1, -3]},
        "shape_float": {"shape": [1.5, 2]},
        "shape_strings": {"shape": ["1", "three"]},
        "shape_too_large": {"shape": [2, 3]},
        "shape_transposed": {"shape": [3, 1]},
        "shape_of_rank_1": {"shape": [3]},
        "shape_of_rank_3": {"shape": [1, 1, 3]},
        "shape_overflowing_64_bits": {"shape": [2**32, 2**32, 3]},
        "shape_zero_times_huge": {"shape": [0, 2**63], "data": []},
        "shape_of_490000_numbers": {"shape": [1] * 490_000},
        "shape_of_240_numbers_of_4300_digits": {"shape": [10**4299] * 240},
        "shape_number_of_400000_digits": {"shape": []},
        "data_missing": {"data": ...},
        "data_null": {"data": None},
        "data_short": {"data": [0, 0]},
        "data_long": {"data": [0] * 4},
        "data_string": {"data": "000"},
        "data_strings": {"data": ["a", "b", "c"]},
        "data_object": {"data": {"0": 0}},
        "data_ragged": {"data": [[0, 0], 0]},
        "data_nested_100": {"data": _nested(0, 100)},
        "data_nulls": {"data": [None, None, None]},
        "data_above_float32": {"data": [1e39, 0, 0]},
        "data_of_257_rows": {"shape": [257, 3], "data": [0] * 771},
        "image_above_1": {"name": "image", "shape": [1, 1, 28, 28], "data": [2] * 784},
        "image_below_0": {"name": "image", "shape": [1, 1, 28, 28], "data": [-1] * 784},
        "image_of_another_size": {"name": "image", "shape": [1, 1, 8, 8], "data": [0] * 64},
        "shared_memory": {
            "data": ...,
            "parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 12},
        },
        "binary_size_without_bytes": {"data": ..., "parameters": {"binary_data_size": 12}},
        "binary_size_negative": {"data": ..., "parameters": {"binary_data_size": -12}},
        "binary_size_true": {"data": ..., "parameters": {"binary_data_size": True}},
        "binary_size_huge": {"data": ..., "parameters": {"binary_data_size": 10**30}},
        "parameters_list": {"parameters": []},
    }
    for name, changes in changes_of.items():
        content = document(tensor(**changes))
        if name == "shape_number_of_400000_digits":
            content = content.replace(b"[]", b"[1" + b"0" * 400_000 + b"]")
        elif name.startswith("shape_of_240"):
            content = document(tensor(shape=["X"] * 240)).replace(b'"X"', b"1" + b"0" * 4299)
        yield name, content
    for name, outputs in {
        "output_unknown": [{"name": "mu"}],
        "output_nameless": [{}],
        "output_class_count": [{"name": "image", "parameters": {"classification": 3}}],
        "output_shared_memory": [{"name": "image", "parameters": {"shared_memory_region": "r"}}],
        "outputs_object": {"image": {}},
        "outputs_50000": [{"name": "image"}] * 50_000,
    }.items():
        yield name, document(outputs=outputs)
    for name, parameters in {
        "parameter_sequence_id": {"sequence_id": 7, "sequence_start": True},
    }.items():
        yield name, document(parameters=parameters)


def _nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def binary() -> Iterator[tuple[str, bytes, str | None]]:
    """A JSON head and raw bytes; the third value is the header with the length of the head."""
    head = document(tensor(data=..., parameters={"binary_data_size": 12}))
    raw = struct.pack("<3f", 0, 0, 0)
    size = str(len(head))
    for name, content, length in (
        ("length_missing", head + raw, None),
        ("length_0", head + raw, "0"),
        ("length_negative", head + raw, "-1"),
        ("length_float", head + raw, "10.5"),
        ("length_word", head + raw, "all"),
        ("length_beyond_the_body", head + raw, str(len(head) + 100)),
        ("length_of_the_body", head + raw, str(len(head) + 12)),
        ("length_short_by_one", head + raw, str(len(head) - 1)),
        ("length_of_5000_digits", head + raw, "9" * 5000),
        ("length_with_underscore", head + raw, "1_0"),
        ("bytes_missing", head, size),
        ("bytes_short", head + raw[:8], size),
        ("bytes_long", head + raw + b"\0", size),
        ("bytes_of_nan", head + struct.pack("<3f", float("nan"), 0, 0), size),
        ("bytes_of_infinity", head + struct.pack("<3f", 0, float("-inf"), 0), size),
    ):
        yield name, content, length
    for name, value in {
        "size_odd": 11,
        "size_string": "12",
        "size_float": 12.0,
        "size_0": 0,
    }.items():
        odd = document(tensor(data=..., parameters={"binary_data_size": value}))
        yield name, odd + raw, str(len(odd))
    twice = document(
        tensor(data=..., parameters={"binary_data_size": 12}),
        tensor(data=..., parameters={"binary_data_size": 12}, name="image"),
    )
    yield "two_tensors_of_one", twice + raw, str(len(twice))
