import re
import time
from pathlib import Path

import pytest

from app import errors
from app.api.problems import INTERNAL, PROBLEMS, problem_type
from app.inference.engine import Engine
from app.settings import Settings
from model_store import errors as store_errors
from tests.api.service import Service, problem, started


def test_every_answer_carries_a_request_id(service: Service) -> None:
    for path in ("/generate", "/models", "/healthz", "/", "/docs", "/nothing", "/generate?n=0"):
        assert re.fullmatch("[0-9a-f]{16}", service.get(path).headers["x-request-id"])


def test_a_valid_request_id_of_the_client_is_kept(service: Service) -> None:
    answer = service.get("/generate?n=0", headers={"X-Request-ID": "my-id.7"})
    assert problem(answer, 422, "limit-exceeded")["request_id"] == "my-id.7"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, 'a"b', "ü".encode(), "a\tb"])
def test_an_invalid_request_id_is_replaced(service: Service, bad: str) -> None:
    answer = service.get("/healthz", headers={"X-Request-ID": bad})
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def test_an_unknown_path_is_a_problem(service: Service) -> None:
    error = problem(service.get("/nothing/here"), 404, "not-found")
    assert error["instance"] == "/nothing/here"
    problem(service.get("/static/nothing.js"), 404, "not-found")


def test_a_wrong_method_is_a_problem_that_names_the_allowed_ones(service: Service) -> None:
    answer = service.request("DELETE", "/generate")
    problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) >= {"GET"}


def test_an_unexpected_error_is_logged_but_not_disclosed(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Engine, *_: object) -> object:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(Engine, "decode_levels", broken)
    error = problem(service.get("/generate"), 500, "internal-error")
    assert "secret" not in str(error)
    assert error["request_id"] in caplog.text
    assert "a secret of the inside" in caplog.text


def test_a_client_that_disconnects_while_sending_is_not_an_error(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        raise AssertionError(f"there is nobody to receive {message}")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/reconstruct",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png"), (b"content-length", b"9")],
    }
    caplog.set_level("INFO", logger="zserve")
    service.portal.call(service.app, scope, leave, send)
    assert "disconnected before its body was read" in caplog.text
    assert "failed" not in caplog.text


def test_a_full_queue_answers_503_with_retry_after(store: Path) -> None:
    with started(Settings(store=store, queue_bytes=50_000)) as service:
        engine: Engine = service.app.state.services.engine
        engine.pause()
        waiting = service.portal.start_task_soon(service.client.get, "/generate?n=5")
        while engine.waiting_images < 5:
            time.sleep(0.001)
        answer = service.get("/generate?n=16")
        refusal = problem(answer, 503, "queue-full")
        assert refusal["limit"] == 50_000
        assert "Retry-After" in refusal["remedy"]
        assert answer.headers["retry-after"] == "1"
        service.portal.call(engine.resume)
        assert waiting.result().status_code == 200
        assert service.get("/generate?n=16").status_code == 200


def test_an_answer_that_takes_too_long_is_503_with_retry_after(store: Path) -> None:
    with started(Settings(store=store, request_timeout_s=1e-6)) as service:
        answer = service.get("/generate?n=256")
        problem(answer, 503, "timed-out")
        assert answer.headers["retry-after"] == "1"
        assert service.app.state.services.engine.waiting_images == 0


def subclasses(base: type[Exception]) -> set[type[Exception]]:
    return {base}.union(*(subclasses(child) for child in base.__subclasses__()))


ABSTRACT = {
    errors.ServiceError,
    errors.RequestError,
    errors.UploadError,
    errors.UnavailableError,
    store_errors.ImageError,
    store_errors.CompressedFileError,
    errors.SettingsError,  # the service does not start
}


@pytest.mark.parametrize(
    "error",
    sorted(
        (
            subclasses(errors.ServiceError)
            | subclasses(store_errors.StoreError)
            | subclasses(store_errors.ImageError)
            | subclasses(store_errors.CompressedFileError)
        )
        - ABSTRACT,
        key=str,
    ),
)
def test_every_domain_error_has_a_problem_type(error: type[Exception]) -> None:
    kind = problem_type(error("x"))
    assert kind is not INTERNAL
    statuses = {400, 401, 403, 404, 406, 408, 409, 413, 414, 415, 422, 429, 431, 503}
    assert kind.status in statuses


def test_the_types_of_problems_are_distinct() -> None:
    slugs = [kind.slug for kind in set(PROBLEMS.values())]
    assert len(slugs) == len(set(slugs))
