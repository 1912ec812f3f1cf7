"""Exact versions over HTTP: ETags without a machine in them, immutable answers, and tampering."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from tests.api.service import Service, digit, publish, started
from tests.unit.exact_versions import publish_exact, tamper_golden_hash

PATH = "/generate?n=3&seed=7&model=exact@1"
METRIC = 'zserve_arithmetic_mismatch{model="exact@1"}'


@pytest.fixture
def store(tmp_path: Path) -> Path:
    publish_exact(tmp_path)
    return tmp_path


def serving(store: Path, **options: object) -> "Iterator[Service]":
    settings = {"store": store, "model": "exact", "device": "cpu", "log_requests": False}
    with started(Settings(**settings | options)) as service:  # type: ignore[arg-type]
        yield service


@pytest.fixture
def exact(store: Path) -> Iterator[Service]:
    yield from serving(store)


def test_a_pinned_exact_version_is_immutable_and_an_alias_is_not(exact: Service) -> None:
    assert exact.get(PATH).headers["cache-control"] == "max-age=31536000, immutable"
    assert exact.get("/generate?seed=7").headers["cache-control"] == "no-cache"


def test_threads_do_not_change_an_exact_answer_or_its_etag(exact: Service, store: Path) -> None:
    first = exact.get(PATH)
    for other in serving(store, torch_threads=2, batch_requests=1):
        answer = other.get(PATH)
        assert answer.content == first.content
        assert answer.headers["etag"] == first.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        "/generate?n=2&seed=1&format=json",
        "/generate?n=2&seed=1&format=npz",
        "/generate?n=2&seed=1&format=zip",
        "/interpolate?seed_a=1&seed_b=2",
        "/traverse?seed=1&dims=0,1",
    ],
)
def test_every_endpoint_serves_an_exact_version(exact: Service, path: str) -> None:
    first, again = exact.post(path), exact.post(path)
    assert first.status_code == 200, first.text
    assert first.content == again.content


def test_an_upload_is_reconstructed_with_numbers(exact: Service) -> None:
    answer = exact.post("/reconstruct?format=json", files={"image": digit()})
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()["images"]
    assert image["bce_nats"] > 0
    assert image["kl_nats"] > 0


def test_a_machine_that_agrees_with_the_golden_hashes_is_not_degraded(exact: Service) -> None:
    assert "degraded" not in exact.get("/readyz").json()
    assert f"{METRIC} 0.0" in exact.get("/metrics").text


def test_a_machine_that_disagrees_serves_and_says_so(
    exact: Service, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = exact.get(PATH)
    tamper_golden_hash(store)
    for degraded in serving(store):
        answer = degraded.get(PATH)
        assert answer.status_code == 200
        assert answer.content == first.content
        assert answer.headers["etag"] != first.headers["etag"]
        assert answer.headers["cache-control"] == "no-cache"
        ready = degraded.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["degraded"] == [
            "exact@1: results of decode differ on this machine from those published for exact-1"
        ]
        assert f"{METRIC} 1.0" in degraded.get("/metrics").text
        assert "exact@1: this machine's results of decode differ" in caplog.text


def test_a_float_version_is_never_immutable(tmp_path: Path) -> None:
    publish(tmp_path)
    for service in serving(tmp_path, model="mnist"):
        answer = service.get("/generate?seed=7&model=mnist@1")
        assert answer.headers["cache-control"] == "no-cache"
        assert service.get("/metrics").text.count("zserve_arithmetic_mismatch{") == 0
