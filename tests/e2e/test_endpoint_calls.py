"""docker/endpoint_calls.py, which `make docker-smoke` and others use, against the shipped models."""

from pathlib import Path

from model_store.store import SHIPPED
from tests.e2e.server import run, serving

CALLS = "docker/endpoint_calls.py"


def test_every_endpoint_of_the_api_description_is_called(tmp_path: Path) -> None:
    with serving(SHIPPED, tmp_path / "log", ZSERVE_DEVICE="cpu") as url:
        done = run(CALLS, url)
    assert done.returncode == 0, done.stderr
    assert "endpoints answer" in done.stdout


def test_a_service_that_does_not_answer_is_named() -> None:
    done = run(CALLS, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.startswith("GET http://127.0.0.1:9/ failed: ")
