from pathlib import Path

import pytest

from app.settings import Settings
from model_store.store import WEIGHTS
from tests.api.service import Service, problem, publish, started


def test_the_service_is_live_and_ready_once_the_default_model_is_loaded(service: Service) -> None:
    assert service.get("/healthz").json() == {"status": "live"}
    assert service.get("/readyz").json() == {"status": "ready", "model": "mnist@1", "device": "cpu"}


def test_without_a_model_the_service_is_live_and_gives_the_reason_why_it_is_not_ready(
    tmp_path: Path,
) -> None:
    with started(Settings(store=tmp_path)) as service:
        assert service.get("/healthz").status_code == 200
        answer = service.get("/readyz")
        refusal = problem(answer, 503, "not-ready")
        assert "no model 'mnist'" in refusal["detail"]
        assert "ZSERVE_MODEL" in refusal["remedy"]
        assert answer.headers["retry-after"] == "1"
        problem(service.get("/generate"), 404, "model-not-found")
        assert service.get("/models").json() == {"models": [], "unreadable": []}


def test_the_service_becomes_ready_when_the_model_is_published(tmp_path: Path) -> None:
    with started(Settings(store=tmp_path)) as service:
        assert service.get("/readyz").status_code == 503
        publish(tmp_path)
        assert service.get("/readyz").json()["model"] == "mnist@1"


def test_a_damaged_model_is_refused_and_the_damaged_file_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path)
    weights = tmp_path / "mnist" / "1" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with started(Settings(store=tmp_path)) as service:
        assert WEIGHTS in problem(service.get("/readyz"), 503, "not-ready")["detail"]
        answer = service.get("/generate")
        problem(answer, 503, "model-unavailable")
        assert answer.headers["retry-after"] == "1"
    assert "not ready" in caplog.text
