"""The chart, what it renders to, and the schemas of Kubernetes and of custom resources."""

import copy
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from tests.kubernetes.manifests import CHART, EXAMPLES, HELM, MANIFESTS, helm, names, resources

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="it is not installed; `make test-kubernetes` installs it"
)

SCHEMAS = Path(__file__).with_name("schemas")
VERSIONS = ("1.30", "1.37")
"""The oldest version of Kubernetes that the chart permits, and the newest with a schema."""
CUSTOM = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
FREE = {"metadata", "labels", "annotations", "matchLabels", "limits", "requests"}
"""Fields whose names the user may choose."""
OPEN: dict[str, Any] = {}
"""Schema that permits everything."""
ALL = [(name, each) for name in names() for each in resources(name)]

needs_helm = pytest.mark.skipif(
    HELM is None, reason="helm is not installed; `make test-kubernetes` installs it"
)


def validate(resource: dict[str, Any], version: str = VERSIONS[-1]) -> None:
    """Raise an error if a resource has an unknown field, lacks one, or has one of another type."""
    schema = CUSTOM.get(resource["kind"].lower())
    if schema is None:
        kubernetes_validate.validate(resource, version, strict=True)
        return
    jsonschema.validate(resource, schema)
    if resource["kind"] == "InferenceService":
        validate(pod_of(resource["spec"]["predictor"], schema), version)


def pod_of(predictor: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a pod with those fields of a predictor that are fields of a pod.

    KServe's schema leaves their contents to that of Kubernetes.
    """
    fields = schema["$defs"]["V1beta1PredictorSpec"]["properties"]
    of_pod = {
        key: value
        for key, value in predictor.items()
        if OPEN in (fields[key], fields[key].get("items"))
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "predictor"}, "spec": of_pod}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "resource"), ALL, ids=[f"{name}-{each['kind']}" for name, each in ALL]
)
def test_every_resource_is_valid(name: str, resource: dict[str, Any], version: str):
    validate(resource, version)


def mappings(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all mappings within a value that have fixed fields."""
    paths = []
    if isinstance(value, dict):
        paths.append(path)
        for key, inner in value.items():
            if key not in FREE:
                paths += mappings(inner, (*path, key))
    elif isinstance(value, list):
        paths += [each for i, inner in enumerate(value) for each in mappings(inner, (*path, i))]
    return paths


def places() -> dict[str, tuple[dict[str, Any], tuple[Any, ...]]]:
    """Return each kind of place in the manifests once, by its name."""
    return {
        ".".join([resource["kind"], *(str(step) for step in path if isinstance(step, str))]): (
            resource,
            path,
        )
        for _, resource in ALL
        for path in mappings(resource)
    }


PLACES = places()


@pytest.mark.parametrize("place", PLACES)
def test_a_misspelt_field_is_refused_wherever_it_stands(place: str):
    resource, path = PLACES[place]
    wrong = copy.deepcopy(resource)
    mapping = wrong
    for step in path:
        mapping = mapping[step]
    mapping["misspelt"] = {}
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        validate(wrong)


def test_every_kind_that_the_chart_can_create_is_rendered():
    kinds = {
        kind
        for path in (CHART / "templates").glob("*.yaml")
        for kind in re.findall(r"^kind: (\w+)$", path.read_text(), re.MULTILINE)
    }
    assert kinds == {each["kind"] for _, each in ALL}
    assert {"Deployment", "Job", "NetworkPolicy", "ScaledObject", "InferenceService"} <= kinds


def test_every_value_is_described_and_in_the_schema():
    lines = (CHART / "values.yaml").read_text().splitlines()
    for above, line in pairwise(lines):
        if re.match(r"\s*\w+:", line) and not re.match(r"\s*(\w+): *$", line):
            assert above.lstrip().startswith("#"), f"{line} is not described"
    values = yaml.safe_load("\n".join(lines))
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(values, schema)
    assert keys_of(values, schema) == []


def keys_of(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
    """Return the values that only the schema or only the file of values has."""
    known = {key for key in schema["properties"] if key != "global"}
    missing = [f"{path}{key}" for key in known ^ set(values)]
    for key in known & set(values):
        if isinstance(values[key], dict) and "properties" in schema["properties"][key]:
            missing += keys_of(values[key], schema["properties"][key], f"{path}{key}.")
    return missing


def rendered(name: str) -> str:
    example = EXAMPLES / f"{name}.yaml"
    values: list[str | Path] = ["--values", example] if example.exists() else []
    result = helm("template", "zserve", CHART, *values)
    assert result.returncode == 0, result.stderr
    return result.stdout


@needs_helm
@pytest.mark.parametrize("name", names())
def test_the_manifests_are_what_the_chart_renders(name: str):
    assert (MANIFESTS / f"{name}.yaml").read_text() == rendered(name)


@needs_helm
def test_each_example_has_its_manifest():
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} | {"zserve"} == set(names())
    assert helm("lint", "--strict", CHART).returncode == 0


@needs_helm
@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("workerz=3", "workerz"),
        ("workers=0", "workers"),
        ("settings.ZSERVE_PORT=9", "ZSERVE_PORT"),
        ("settings.MAX_IMAGES=x", "MAX_IMAGES"),
        ("autoscaling.mode=both", "mode"),
        ("store.claim=a,store.url=s3://b/c", "store"),
        ("publish.enabled=true", "store.claim"),
        ("publish.enabled=true,store.claim=a", "publish.version"),
    ],
)
def test_wrong_values_are_refused_with_their_name(option: str, named: str):
    result = helm("template", "zserve", CHART, "--set", option)
    assert result.returncode != 0
    assert named in result.stderr


@needs_helm
def test_a_release_with_another_name_has_a_grace_period_of_its_own_times():
    options = "preStopSeconds=15,shutdownDelaySeconds=2.5,shutdownTimeoutSeconds=60"
    result = helm(
        "template",
        "other",
        CHART,
        "--set-json",
        options,
        "--show-only",
        "templates/deployment.yaml",
    )
    deployment = yaml.safe_load(result.stdout)
    assert deployment["metadata"]["name"] == "other-zserve"
    spec = deployment["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == 15 + 3 + 60 + 10
