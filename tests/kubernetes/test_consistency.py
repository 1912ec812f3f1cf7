"""Ports, paths, variables and times in the manifests are those of the service."""

import re
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from app.server.cores import WORKER_BYTES
from app.settings import Settings
from tests.api.service import publish, started
from tests.kubernetes.manifests import (
    FOLDER,
    container,
    names,
    pod_spec,
    resource,
    resources,
    variables,
)
from tests.monitoring.test_files import RULES

ROOT = Path(__file__).parents[2]
DEPLOYED = [name for name in names() if name != "kserve"]
UNITS = {"Mi": 2**20, "Gi": 2**30, "": 1}


def settings_of(name: str) -> Settings:
    """Return the settings that the variables of a manifest give, without its folders."""
    values = {
        key.removeprefix("ZSERVE_").lower(): value
        for key, value in variables(container(name)).items()
        if key.startswith("ZSERVE_") and key != "ZSERVE_STORE"
    }
    return Settings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_every_variable_is_a_setting_with_a_valid_value(name: str):
    all_names = {each["name"] for each in container(name)["env"]}
    fields = {f"ZSERVE_{field.upper()}" for field in Settings.model_fields}
    assert {each for each in all_names if each.startswith("ZSERVE_")} <= fields
    assert settings_of(name).workers


@pytest.mark.parametrize("name", names())
def test_a_service_link_cannot_replace_the_port(name: str):
    """Kubernetes sets ZSERVE_PORT to an address if there is a Service with the name zserve."""
    assert pod_spec(name)["enableServiceLinks"] is False


@pytest.mark.parametrize("name", names())
def test_a_pod_has_more_time_to_stop_than_its_requests(name: str):
    settings = settings_of(name)
    before_the_signal = container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
    patience = before_the_signal + settings.shutdown_delay_s + settings.shutdown_timeout_s
    assert pod_spec(name)["terminationGracePeriodSeconds"] >= patience + 10


@pytest.mark.parametrize("name", names())
def test_probes_are_answered_by_the_app_on_the_port_of_the_container(name: str, tmp_path: Path):
    serving = container(name)
    (port,) = serving["ports"]
    assert settings_of(name).port == port["containerPort"]
    publish(tmp_path)
    with started(Settings(store=tmp_path, device="cpu", log_requests=False)) as service:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            request = serving[probe]["httpGet"]
            assert request["port"] == port["name"]
            assert service.get(request["path"]).status_code == 200


@pytest.mark.parametrize("name", names())
def test_a_service_without_a_model_is_alive_but_not_ready(name: str, tmp_path: Path):
    serving = container(name)
    with started(Settings(store=tmp_path, device="cpu", log_requests=False)) as service:
        statuses = {
            probe: service.get(serving[probe]["httpGet"]["path"]).status_code
            for probe in ("startupProbe", "readinessProbe", "livenessProbe")
        }
    assert statuses == {"startupProbe": 200, "readinessProbe": 503, "livenessProbe": 200}


@pytest.mark.parametrize("name", names())
def test_workers_have_a_core_and_memory_each(name: str):
    resources = container(name)["resources"]
    workers = settings_of(name).workers or 0
    assert float(resources["requests"]["cpu"]) >= workers
    assert "cpu" not in resources["limits"]
    assert in_bytes(resources["requests"]["memory"]) >= workers * WORKER_BYTES
    one_photo = Settings.model_fields["upload_memory_bytes"].default
    assert in_bytes(resources["limits"]["memory"]) >= workers * (WORKER_BYTES + one_photo)


def in_bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(\w*)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * UNITS[unit]


@pytest.mark.parametrize("name", names())
def test_pods_have_no_privileges_and_run_as_the_user_of_the_image(name: str):
    spec, serving = pod_spec(name), container(name)
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert spec["securityContext"]["runAsUser"] == int(user[1])
    assert spec["securityContext"]["runAsGroup"] == int(user[2])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["shareProcessNamespace"] is True
    assert serving["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "mountPath": "/tmp"} in serving["volumeMounts"]  # noqa: S108 - of the pod


@pytest.mark.parametrize("name", DEPLOYED)
def test_everything_selects_the_pods_of_the_deployment(name: str):
    labels = resource(name, "Deployment")["spec"]["template"]["metadata"]["labels"]
    spec = pod_spec(name)
    selectors = [
        resource(name, "Deployment")["spec"]["selector"]["matchLabels"],
        resource(name, "Service")["spec"]["selector"],
        resource(name, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        resource(name, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in spec["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector.items() <= labels.items()
    assert selectors[0]


@pytest.mark.parametrize("name", DEPLOYED)
def test_everything_names_the_port_of_the_container(name: str):
    (port,) = container(name)["ports"]
    (served,) = resource(name, "Service")["spec"]["ports"]
    (rule,) = resource(name, "NetworkPolicy")["spec"]["ingress"]
    assert served["targetPort"] == port["name"]
    assert [each["port"] for each in rule["ports"]] == [port["name"]]
    for monitor in (each for each in resources(name) if each["kind"] == "ServiceMonitor"):
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] == served["name"]
        service_labels = resource(name, "Service")["metadata"]["labels"]
        assert service_labels[monitor["spec"]["jobLabel"]] == "zserve"  # the job of the alerts
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service_labels.items()


@pytest.mark.parametrize("name", DEPLOYED)
def test_what_scales_the_deployment_names_it_and_nothing_else_sets_its_pods(name: str):
    deployment = resource(name, "Deployment")
    scalers = [
        e for e in resources(name) if e["kind"] in {"HorizontalPodAutoscaler", "ScaledObject"}
    ]
    assert len(scalers) == 1
    target = scalers[0]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]


def test_autoscalers_follow_the_recorded_queue():
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    adapter = yaml.safe_load((FOLDER / "prometheus-adapter.yaml").read_text())
    (rule,) = adapter["rules"]["custom"]
    assert rule["seriesQuery"].partition("{")[0] in recorded
    metrics = resource("monitored", "HorizontalPodAutoscaler")["spec"]["metrics"]
    (pods,) = (metric["pods"] for metric in metrics if metric["type"] == "Pods")
    assert pods["metric"]["name"] == rule["name"]["as"]
    triggers = resource("keda", "ScaledObject")["spec"]["triggers"]
    (query,) = (each["metadata"]["query"] for each in triggers if each["type"] == "prometheus")
    assert re.findall(r"zserve:\w+", query) == sorted(recorded)


def test_the_rules_of_the_chart_are_those_of_compose():
    groups = resource("monitored", "PrometheusRule")["spec"]["groups"]
    assert groups[0]["rules"] == RULES
