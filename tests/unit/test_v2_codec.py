"""Whatever a client sends, the v2 codec returns a finite tensor or raises an error of the service."""

import json
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.api.v2_codec import Inference, parse
from app.errors import ServiceError

MAX_VALUES = 12
TEXT = st.text('z"[\\\0\ud800\u20ac', max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TENSOR = {"name": "z", "shape": [1, 3], "datatype": "FP32", "data": [[0.5, 1, -2]]}
SHAPES = st.lists(st.integers(-2, 6) | st.just(10**30), max_size=4)
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "content_type", "binary_data", "other"]), JSON, max_size=2
)


def parsed(content: bytes, json_length: str | None = None) -> Inference | None:
    """Return the request, or None if it is refused."""
    try:
        inference = parse(content, json_length, max_values=MAX_VALUES)
    except ServiceError:
        return None
    assert inference.values.dtype == np.float32
    assert 0 <= inference.values.size <= MAX_VALUES
    assert np.isfinite(inference.values).all()
    return inference


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": JSON,
            "shape": JSON | SHAPES,
            "datatype": JSON | st.just("FP32"),
            "data": JSON,
            "parameters": JSON | PARAMETERS,
        },
    ),
    st.fixed_dictionaries({}, optional={"id": JSON, "parameters": JSON, "outputs": JSON}),
)
@example({"shape": [], "data": []}, {})
@example({"shape": [0], "data": []}, {})
@example({"shape": [10**30], "data": []}, {})
@example({"data": [[True, 1, 2]]}, {})
def test_any_json_is_parsed_or_refused(tensor: dict[str, Any], request: dict[str, Any]) -> None:
    parsed(json.dumps({"inputs": [TENSOR | tensor], **request}).encode())


@settings(deadline=None)
@given(st.data())
def test_a_changed_body_is_parsed_or_refused(data: st.DataObject) -> None:
    content = bytearray(json.dumps({"inputs": [TENSOR], "id": "1"}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
        if not content:
            break
    parsed(bytes(content))


@settings(deadline=None)
@given(st.binary(max_size=60), st.none() | st.integers(-5, 200).map(str) | TEXT)
def test_any_bytes_are_parsed_or_refused(content: bytes, json_length: str | None) -> None:
    parsed(content, json_length)


@settings(deadline=None)
@given(st.lists(st.floats(width=32), max_size=MAX_VALUES))
def test_raw_bytes_are_the_values_if_they_are_finite(values: list[float]) -> None:
    raw = np.array(values, "<f4").tobytes()
    tensor = TENSOR | {"shape": [len(values)], "parameters": {"binary_data_size": len(raw)}}
    del tensor["data"]
    head = json.dumps({"inputs": [tensor]}).encode()
    inference = parsed(head + raw, str(len(head)))
    assert (inference is not None) == bool(np.isfinite(values).all())
    if inference is not None:
        assert inference.values.tobytes() == raw
