"""A process that has no file descriptor left answers 503, and recovers."""

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.api.service import Service, publish, started


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path, "mnist")
    publish(tmp_path, "other")
    with started(Settings(store=tmp_path, device="cpu")) as service:
        yield service


@contextlib.contextmanager
def no_file_descriptors() -> Iterator[None]:
    """Let nothing be opened in this process; what is open stays open."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/docs",
        "/static/style.css",
        "/models",
        "/models/mnist",
        "/models/mnist/1",
        "/models/mnist/1/figures/samples.png",
        "/generate?model=other",
        "/generate?model=other@1",
        "/v2/models/other/ready",
        "/readyz",
        "/metrics",
    ],
)
def test_without_file_descriptors_no_answer_is_a_500_and_afterwards_all_are_as_before(
    service: Service, path: str
) -> None:
    service.get("/generate?n=1")
    with no_file_descriptors():
        during = service.get(path)
    after = service.get(path)
    assert during.status_code in {after.status_code, 503}
    if during.status_code == 503:
        assert during.headers["retry-after"] == "1"
        if path.startswith("/v2"):  # errors have the form of the protocol
            assert during.json()["error"]
        else:
            assert during.json()["type"] in {
                "/problems/out-of-files",
                "/problems/model-unavailable",
            }
    elif path != "/metrics":
        assert during.content == after.content


def test_metrics_count_what_the_client_was_answered(service: Service) -> None:
    with no_file_descriptors():
        assert service.get("/models").status_code == 503
    metrics = service.get("/metrics").text
    assert 'zserve_requests_total{method="GET",path="/models",status="503"} 1.0' in metrics
    assert 'status="500"' not in metrics
