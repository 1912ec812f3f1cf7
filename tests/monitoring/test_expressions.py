"""Every expression of the alerts and the dashboard, against services of which one is in trouble.

A real Prometheus scrapes a service that is well, one that suffers everything that can be brought
about from outside, one without a default model, and an address at which nothing listens.
"""

import os
import re
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.chaos.service import free_port
from model_store.store import SHIPPED, Store
from tests.e2e.server import serving
from tests.monitoring.prometheus import PROMETHEUS, Prometheus, scraping, until
from tests.monitoring.test_files import DASHBOARD, RULES

pytestmark = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed; `make test-monitoring` installs it"
)

WELL, ILL, EMPTY, ABSENT = "well", "ill", "empty", "absent"
FAULTS = {
    "ZserveDown": ABSENT,
    "ZserveNotReady": EMPTY,
    "ZserveRefusals": ILL,
    "ZserveDegraded": ILL,
    "ZserveSwapRefused": ILL,
    "ZserveLoadRefused": ILL,
    "ZserveWorkersRestart": ILL,
}
"""Alerts whose fault is brought about, and the service that has it."""
SILENT = {
    "ZserveErrors",
    "ZserveSlow",
    "ZserveSaturated",
    "ZserveMemory",
    "ZserveArithmeticMismatch",
}
"""Alerts whose fault cannot be brought about in a short test: what they compare has data."""
NEVER = 'status=~"5..", status!="503"'
"""Selects answers that a service without a defect never gives; also what it compares is empty."""

ALERTS = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
PANELS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("monitoring")
    stores = {name: new_store(folder / name, models=name != EMPTY) for name in (WELL, ILL, EMPTY)}
    variables = {"ZSERVE_DEVICE": "cpu", "ZSERVE_MODEL": "lab"}
    ill = {"ZSERVE_WORKERS": "2", "ZSERVE_TARGET_WAIT_S": "0.001"}
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(
                serving(store, folder / f"{name}.log", **variables, **(ill if name == ILL else {}))
            )
            for name, store in stores.items()
        }
        targets = {name: url.removeprefix("http://") for name, url in urls.items()}
        targets[ABSENT] = f"127.0.0.1:{free_port()}"
        prometheus = stack.enter_context(scraping(targets, folder))
        until(lambda: prometheus.instances("zserve_ready") == {WELL, ILL, EMPTY})
        use(urls[WELL])
        overload(urls[ILL])
        kill_workers(folder / "ill.log", 5)
        overload(urls[ILL])
        break_promotion(stores[ILL])  # last: workers that start later could not load their model
        until(lambda: ILL in prometheus.instances(ALERTS["ZserveSwapRefused"]))
        until(lambda: {WELL, ILL} <= prometheus.instances("zserve:queued_requests"))
        yield prometheus


def new_store(folder: Path, *, models: bool) -> Path:
    folder.mkdir()
    if models:
        shutil.copytree(SHIPPED / "lab", folder / "lab")
    return folder


def use(url: str) -> None:
    """Send one request of each kind, some of them wrong."""
    for path in (
        "/generate?n=4",
        "/interpolate?seed_a=1&seed_b=2",
        "/readyz",
        "/nothing",
        "/generate?n=0",
    ):
        httpx.get(url + path, timeout=30)


def break_promotion(folder: Path) -> None:
    """Promote a version that cannot be loaded."""
    store = Store(folder)
    version = store.versions("lab")[-1]
    damaged = folder / "lab" / str(version + 1)
    shutil.copytree(folder / "lab" / str(version), damaged)
    store.set_alias("lab", "production", version + 1)


def overload(url: str) -> None:
    """Ask for more than is computed within the target, over several connections."""

    def ask(_: int) -> None:
        with suppress(httpx.TransportError):  # the worker was killed
            httpx.get(f"{url}/generate?n=256&format=json", timeout=30)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(80)))


def kill_workers(log: Path, count: int) -> None:
    """Kill one worker after the other, each when its predecessor has been replaced."""

    def started() -> list[int]:
        return [int(pid) for pid in re.findall(r"server process \[(\d+)\]", log.read_text())]

    for _ in range(count):
        pids = started()
        os.kill(pids[-1], signal.SIGKILL)
        until(lambda pids=pids: len(started()) > len(pids))  # type: ignore[misc]


def compared(expression: str) -> str:
    """Return what an alert compares with its threshold."""
    left, _ = re.split(r"\s(?:>|==)\s", expression)
    return left


def for_all_instances(expression: str) -> str:
    """Fill in the variables of the dashboard."""
    return expression.replace("$instance", ".*").replace("$__rate_interval", "1m")


def test_each_alert_is_expected_to_fire_or_named_as_silent():
    assert set(ALERTS) == set(FAULTS) | SILENT
    assert not set(FAULTS) & SILENT


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus):
    until(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
    assert {rule["name"] for rule in prometheus.rules()} >= {"zserve:queued_requests", *ALERTS}


@pytest.mark.parametrize("expression", [*ALERTS.values(), *PANELS.values(), RULES[0]["expr"]])
def test_every_metric_of_an_expression_exists(prometheus: Prometheus, expression: str):
    names = set(re.findall(r"\bzserve[a-z_:]+", re.sub(r"\{[^}]*\}", "", expression)))
    assert names <= prometheus.names()


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_has_data_for_the_service_with_its_fault_and_for_no_other(
    prometheus: Prometheus, alert: str
):
    until(lambda: prometheus.instances(ALERTS[alert]) == {FAULTS[alert]}, 20)


@pytest.mark.parametrize("alert", sorted(SILENT))
def test_an_alert_without_its_fault_is_silent_but_compares_data(prometheus: Prometheus, alert: str):
    if alert != "ZserveSlow":  # which a busy machine may bring about
        assert WELL not in prometheus.instances(ALERTS[alert])
    expression = compared(ALERTS[alert])
    if NEVER in expression:
        assert prometheus.query(expression) == []
        expression = expression.replace(NEVER, 'status=~"2.."')
    assert WELL in prometheus.instances(expression)


@pytest.mark.parametrize("panel", PANELS)
def test_every_expression_of_the_dashboard_has_data(prometheus: Prometheus, panel: str):
    expression = for_all_instances(PANELS[panel]).removesuffix(" or vector(0)")
    until(lambda: prometheus.query(expression), 20)


def test_the_queue_of_an_overloaded_service_is_longer_although_it_refuses(prometheus: Prometheus):
    queue = {
        s["metric"]["instance"]: float(s["value"][1])
        for s in prometheus.query("zserve:queued_requests")
    }
    assert queue[ILL] > 1 > queue[WELL] >= 0
