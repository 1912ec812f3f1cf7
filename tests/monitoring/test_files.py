"""The files of docker/monitoring, without a service."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from tests.monitoring.prometheus import ALERTS, FOLDER, PROMTOOL

CASES = Path(__file__).with_name("alerts_test.yml")
GRAFANA = FOLDER / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "zserve.json").read_text())
RULES = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
NAMES = [rule["alert"] for rule in RULES if "alert" in rule]

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed; `make test-monitoring` installs it"
)


def promtool(*arguments: str | Path) -> None:
    command = [str(PROMTOOL), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stdout + result.stderr


@needs_promtool
def test_promtool_accepts_the_rules_and_the_configuration():
    promtool("check", "rules", ALERTS)
    promtool("check", "config", FOLDER / "prometheus.yml")


@needs_promtool
def test_each_alert_fires_for_its_fault_alone():
    promtool("test", "rules", CASES)


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    cases = [
        case
        for test in yaml.safe_load(CASES.read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    firing = {case["alertname"] for case in cases if case.get("exp_alerts")}
    silent = {case["alertname"] for case in cases if not case.get("exp_alerts")}
    assert firing == silent == set(NAMES)


def test_each_alert_has_a_section_that_says_what_to_do():
    headings = {
        line.removeprefix("### ").lower()
        for line in (FOLDER.parents[1] / "docs" / "monitoring.md").read_text().splitlines()
        if line.startswith("### ")
    }
    for rule in RULES:
        if "alert" in rule:
            page, anchor = rule["annotations"]["runbook"].split("#")
            assert page == "docs/monitoring.md"
            assert anchor == rule["alert"].lower()
            assert anchor in headings


def test_the_dashboard_uses_the_provisioned_data_source():
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    panels = DASHBOARD["panels"]
    used = [target["datasource"] for panel in panels for target in panel["targets"]]
    used += [panel["datasource"] for panel in panels]
    used += [variable["datasource"] for variable in DASHBOARD["templating"]["list"]]
    assert all(each == {"type": source["type"], "uid": source["uid"]} for each in used)


def test_no_panel_covers_another():
    cells = [
        (column, row)
        for panel in DASHBOARD["panels"]
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
