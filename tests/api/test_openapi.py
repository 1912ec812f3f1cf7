from typing import Any

import pytest
from pydantic import BaseModel

from app.api import responses_schema, v2_schema
from app.api.problems import Problem
from tests.api.service import Service


@pytest.fixture(scope="module")
def schema(service: Service) -> dict[str, Any]:
    document: dict[str, Any] = service.get("/openapi.json").json()
    return document


def operations(schema: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in schema["paths"].items()
        for method, operation in item.items()
    ]


def test_every_path_is_described(schema: dict[str, Any]) -> None:
    assert {(method, path) for method, path, _ in operations(schema)} == {
        ("get", "/generate"),
        ("post", "/generate"),
        ("post", "/reconstruct"),
        ("post", "/interpolate"),
        ("post", "/traverse"),
        ("post", "/edit"),
        ("post", "/score"),
        ("post", "/encode"),
        ("post", "/decode"),
        ("post", "/augment"),
        ("post", "/compress"),
        ("post", "/decompress"),
        ("get", "/v2"),
        ("get", "/v2/health/live"),
        ("get", "/v2/health/ready"),
        ("get", "/v2/models/{name}"),
        ("get", "/v2/models/{name}/ready"),
        ("post", "/v2/models/{name}/infer"),
        ("get", "/v2/models/{name}/versions/{version}"),
        ("get", "/v2/models/{name}/versions/{version}/ready"),
        ("post", "/v2/models/{name}/versions/{version}/infer"),
        ("get", "/models"),
        ("get", "/models/{name}"),
        ("get", "/models/{name}/{version}"),
        ("get", "/models/{name}/{version}/figures/{figure}.png"),
        ("get", "/models/{name}/{version}/files/{file}"),
        ("put", "/models/{name}/aliases/{alias}"),
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
    }


def test_every_operation_has_a_summary_a_description_and_its_own_id(schema: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(ids) == len(set(ids))
    for _, _, operation in operations(schema):
        assert operation["summary"]
        assert operation["description"]


def test_every_parameter_is_explained(schema: dict[str, Any]) -> None:
    for _, path, operation in operations(schema):
        for parameter in operation.get("parameters", []):
            described = parameter.get("description") or parameter["schema"].get("description")
            assert described, f"{path}: {parameter['name']}"


def test_png_is_the_first_format_and_json_the_second(schema: dict[str, Any]) -> None:
    for path in ("/generate", "/reconstruct", "/interpolate", "/traverse"):
        content = schema["paths"][path]["post"]["responses"]["200"]["content"]
        assert list(content)[:3] == ["image/png", "application/json", "application/zip"]
        assert "$ref" in content["application/json"]["schema"]


def test_every_error_is_a_problem(schema: dict[str, Any]) -> None:
    assert set(schema["components"]["schemas"]["Problem"]["properties"]) == set(
        Problem.model_fields
    )
    for _, path, operation in operations(schema):
        if path.startswith("/v2"):
            continue  # errors have the form of the protocol
        for status, response in operation["responses"].items():
            if status[0] in "45":
                assert list(response["content"]) == ["application/problem+json"], (path, status)


def test_both_forms_of_an_upload_are_described(schema: dict[str, Any]) -> None:
    for path in ("/reconstruct", "/traverse"):
        content = schema["paths"][path]["post"]["requestBody"]["content"]
        assert list(content)[:3] == ["multipart/form-data", "image/png", "image/jpeg"]
        assert {"image/webp", "image/avif", "image/heic", "image/gif"} <= content.keys()
    form = schema["paths"]["/interpolate"]["post"]["requestBody"]["content"]["multipart/form-data"]
    assert set(form["schema"]["properties"]) == {"a", "b"}


def test_parameters_are_not_nullable_and_an_endpoints_own_come_first(
    schema: dict[str, Any],
) -> None:
    parameters = schema["paths"]["/generate"]["get"]["parameters"]
    names = [parameter["name"] for parameter in parameters]
    assert names[:4] == ["n", "seed", "temperature", "label"]
    assert names[-3:] == ["model", "format", "metadata"]
    for parameter in parameters:
        assert isinstance(parameter["schema"]["type"], str)


def test_each_error_shows_an_example_of_its_own_status(schema: dict[str, Any]) -> None:
    shown = set()
    for _, path, operation in operations(schema):
        for status, response in operation["responses"].items():
            content = response.get("content", {}).get("application/problem+json")
            if content is None:
                continue
            example = Problem.model_validate(content["example"])
            assert str(example.status) == status, path
            assert example.title in response["description"]
            assert example.remedy
            shown.add(status)
    assert shown >= {"400", "401", "403", "404", "406", "413", "415", "422", "503"}


def test_each_answer_in_json_shows_an_example_of_its_schema(schema: dict[str, Any]) -> None:
    typed = 0
    for _, _, operation in operations(schema):
        content = operation["responses"]["200"].get("content", {})
        if "application/json" in content:
            shown = content["application/json"]
            reference = shown["schema"].get("$ref", "")
            if reference:
                name = reference.rpartition("/")[2]
                module = v2_schema if hasattr(v2_schema, name) else responses_schema
                answer: type[BaseModel] = getattr(module, name)
                answer.model_validate(shown["example"], extra="forbid")
                typed += 1
            assert shown["example"]
    assert typed >= 16


def test_an_answer_has_the_headers_that_are_described(
    service: Service, schema: dict[str, Any]
) -> None:
    described = schema["paths"]["/generate"]["get"]["responses"]["200"]["headers"]
    answer = service.get("/generate?n=1&seed=7")
    assert {"X-Queue-Time", "X-Inference-Time", "X-Seed", "X-Model"} <= described.keys()
    for name in described:
        assert name in answer.headers


def bodies(operation: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return where each body of an operation is described, and its description."""
    described = {**operation["responses"], "request": operation.get("requestBody", {})}
    return [
        (f"{place} {media_type}", body)
        for place, part in described.items()
        for media_type, body in part.get("content", {}).items()
    ]


def test_every_body_has_a_schema(schema: dict[str, Any]) -> None:
    without = [
        f"{method} {path}: {place}"
        for method, path, operation in operations(schema)
        for place, body in bodies(operation)
        if not body.get("schema")
    ]
    assert without == []


def references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if "$ref" in value else set()
    return own.union(*map(references, value.values()))


def test_every_reference_leads_to_a_schema_and_every_schema_is_used(schema: dict[str, Any]) -> None:
    schemas = {f"#/components/schemas/{name}" for name in schema["components"]["schemas"]}
    assert references(schema) == schemas


def test_errors_below_v2_have_the_schema_of_the_protocol(schema: dict[str, Any]) -> None:
    for _, path, operation in operations(schema):
        for status, response in operation["responses"].items():
            if status[0] in "45":
                ((media_type, body),) = response["content"].items()
                kind = "ProtocolError" if path.startswith("/v2") else "Problem"
                assert body["schema"] == {"$ref": f"#/components/schemas/{kind}"}, (path, status)
                assert media_type == (
                    "application/json" if kind == "ProtocolError" else "application/problem+json"
                )
