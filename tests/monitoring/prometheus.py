"""Debian's Prometheus as a process on loopback, and what it answers."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml  # type: ignore[import-untyped]  # its stubs would be one more requirement

from benchmarks.chaos.service import free_port

FOLDER = Path(__file__).parents[2] / "docker" / "monitoring"
ALERTS = FOLDER / "alerts.yml"
PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


class Prometheus:
    """Queries to a running Prometheus."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of an expression now; raises AssertionError if it is not valid."""
        answer = self._client.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        data = answer["data"]
        result: list[dict[str, Any]] = data["result"]
        return result if data["resultType"] == "vector" else [{"value": data["result"]}]

    def instances(self, expression: str) -> set[str]:
        """Return the instances for which an expression has a sample."""
        return {sample["metric"].get("instance", "") for sample in self.query(expression)}

    def names(self) -> set[str]:
        """Return the names of all metrics."""
        names: list[str] = self._client.get("/api/v1/label/__name__/values").json()["data"]
        return set(names)

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules with their health."""
        groups = self._client.get("/api/v1/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def is_ready(self) -> bool:
        """Return True once queries are answered."""
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Wait for a condition; raises AssertionError."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@contextmanager
def scraping(targets: Mapping[str, str], folder: Path) -> Iterator[Prometheus]:
    """Run Prometheus with the project's configuration and rules, but faster.

    `targets` are the addresses by the name that becomes the label `instance`.
    """
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ALERTS)]
    (scrape,) = config["scrape_configs"]
    scrape["static_configs"] = [
        {"targets": [address], "labels": {"instance": name}} for name, address in targets.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [str(PROMETHEUS), f"--config.file={folder / 'prometheus.yml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
                prometheus = Prometheus(client)
                until(prometheus.is_ready)
                yield prometheus
        finally:
            process.terminate()
            process.wait(timeout=30)
