"""Metrics that are read when Prometheus asks."""

import os
from pathlib import Path

from app.observability.service_state import Health, ServiceState


def values(state: ServiceState) -> dict[str, float]:
    return {each.name: each.samples[0].value for each in state.collect()}


def test_a_service_that_has_not_started_is_not_ready():
    assert values(ServiceState(None))["zserve_ready"] == 0


def test_readiness_and_reasons_are_asked_for_at_each_scrape():
    health = [Health(ready=True, degraded=0), Health(ready=False, degraded=2)]
    state = ServiceState(None, lambda: health.pop(0))
    first, second = values(state), values(state)
    assert (first["zserve_ready"], first["zserve_degraded"]) == (1, 0)
    assert (second["zserve_ready"], second["zserve_degraded"]) == (0, 2)


def test_one_process_is_one_worker_with_its_memory():
    samples = values(ServiceState(None))
    assert samples["zserve_workers"] == 1
    lines = Path("/proc/self/status").read_text().splitlines()
    resident = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    assert 0.5 * resident < samples["zserve_resident_memory_bytes"] < 2 * resident


def test_workers_are_those_with_a_file_of_the_living(tmp_path: Path):
    (tmp_path / f"gauge_livesum_{os.getpid()}.db").touch()
    (tmp_path / "gauge_livesum_999999999.db").touch()  # it ended; the supervisor has not noticed
    (tmp_path / f"counter_{os.getppid()}.db").touch()
    samples = values(ServiceState(tmp_path))
    assert samples["zserve_workers"] == 2
    assert 0 < samples["zserve_resident_memory_bytes"] < 100 * 2**30
