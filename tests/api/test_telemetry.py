import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.observability.logs import REQUEST, JsonFormatter, RequestLabels
from app.settings import Settings
from tests.api.service import Service, publish, started


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path)
    publish(tmp_path, seed=1)
    with started(Settings(store=tmp_path, device="cpu")) as service:
        yield service


def metrics(service: Service) -> dict[str, float]:
    """Return every sample by its name and labels."""
    answer = service.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = (line for line in answer.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_images_requests_and_times_are_counted(own: Service) -> None:
    for _ in range(3):
        own.get("/generate?n=5")
    own.get("/generate?n=80&model=mnist@2")
    samples = metrics(own)
    assert samples['zserve_requests_total{method="GET",path="/generate",status="200"}'] == 4
    assert samples['zserve_request_seconds_count{path="/generate"}'] == 4
    assert samples['zserve_images_total{model="mnist@1"}'] == 15
    assert samples['zserve_images_total{model="mnist@2"}'] == 80
    assert samples['zserve_queue_seconds_count{model="mnist@1"}'] == 3
    assert 2 <= samples['zserve_batch_images_count{model="mnist@2"}'] <= 5  # of 16 to 64 images
    assert samples['zserve_batch_images_sum{model="mnist@2"}'] == 80
    assert samples['zserve_inference_seconds_sum{model="mnist@1"}'] > 0
    assert samples['zserve_model_loads_total{model="mnist@2",outcome="loaded"}'] == 1
    assert samples["zserve_waiting_images"] == 0


def test_rejects_are_counted_by_their_reason(own: Service) -> None:
    own.get("/generate?n=0")
    own.get("/generate?n=1000")
    own.get("/generate?model=nothing")
    own.get("/nothing")
    samples = metrics(own)
    assert samples['zserve_rejects_total{reason="limit-exceeded"}'] == 2
    assert samples['zserve_rejects_total{reason="model-not-found"}'] == 1
    assert samples['zserve_requests_total{method="GET",path="other",status="404"}'] == 1


def test_unknown_paths_and_methods_add_no_series(own: Service) -> None:
    def series() -> int:
        return len([name for name in metrics(own) if name.startswith("zserve_requests_total")])

    series()
    for i in range(2):
        own.request(f"ODD{i}", "/")
        own.get(f"/nothing/{i}")
        own.get(f"/models/nothing{i}")
    before = series()
    for i in range(2, 20):
        own.request(f"ODD{i}", "/")
        own.get(f"/nothing/{i}")
        own.get(f"/models/nothing{i}")
    assert series() == before


def test_swaps_are_counted(tmp_path: Path) -> None:
    publish(tmp_path)
    publish(tmp_path, seed=1)
    with started(Settings(store=tmp_path, device="cpu", max_loaded_models=1)) as service:
        store, cache = service.app.state.services.store, service.app.state.services.model_cache
        store.set_alias("mnist", "production", 2)
        service.portal.call(cache.refresh)
        (tmp_path / "mnist" / "1" / "manifest.json").write_text("{")
        store.set_alias("mnist", "production", 1)
        service.portal.call(cache.refresh)
        samples = metrics(service)
    name = 'zserve_model_swaps_total{alias="mnist@production",outcome='
    assert samples[name + '"swapped"}'] == 1
    assert samples[name + '"refused"}'] == 1
    assert samples['zserve_model_loads_total{model="mnist@1",outcome="refused"}'] == 1


def test_health_workers_and_memory_are_metrics(own: Service) -> None:
    samples = metrics(own)
    assert samples["zserve_ready"] == 1
    assert samples["zserve_degraded"] == 0
    assert samples["zserve_workers"] == samples["zserve_worker_starts_total"] == 1
    assert samples["zserve_resident_memory_bytes"] > 2**20


def test_a_service_without_its_model_is_not_ready_in_its_metrics_until_it_has_one(
    tmp_path: Path,
) -> None:
    with started(Settings(store=tmp_path, device="cpu")) as service:
        assert metrics(service)["zserve_ready"] == 0
        publish(tmp_path)
        assert service.get("/readyz").status_code == 200
        assert metrics(service)["zserve_ready"] == 1
        service.app.state.stopping.announce()
        assert metrics(service)["zserve_ready"] == 0


def test_a_refused_version_is_counted_as_a_reason_for_degradation(own: Service) -> None:
    own.get("/generate?n=1")
    services = own.app.state.services
    services.store.set_alias("mnist", "production", 2)
    folder = services.store.root / "mnist" / "2"
    (folder / "manifest.json").write_text("{")
    own.portal.call(services.model_cache.refresh)
    assert metrics(own)["zserve_degraded"] == 1


def test_an_answer_says_how_long_it_waited_and_how_long_the_model_took(service: Service) -> None:
    answer = service.get("/generate")
    assert float(answer.headers["x-queue-time"]) >= 0
    assert float(answer.headers["x-inference-time"]) > 0
    assert "x-inference-time" not in service.get("/healthz").headers


def test_without_telemetry_requests_are_answered_but_not_counted(store: Path) -> None:
    with started(Settings(store=store, device="cpu", telemetry=False)) as service:
        answer = service.get("/generate?seed=7")
        assert answer.status_code == 200
        assert "x-inference-time" not in answer.headers
        assert "zserve_requests_total{" not in service.get("/metrics").text


def test_a_trace_is_continued_with_a_span_of_the_service(service: Service) -> None:
    callers = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    own_span = service.get("/healthz", headers={"traceparent": callers}).headers["traceparent"]
    assert re.fullmatch("00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01", own_span)
    assert own_span != callers


@pytest.mark.parametrize("bad", ["", "x", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-1-2-3"])
def test_a_malformed_trace_is_ignored(service: Service, bad: str) -> None:
    assert "traceparent" not in service.get("/healthz", headers={"traceparent": bad}).headers


def lines_of(store: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> list[str]:
    """Return the log lines of two requests, read after the service has stopped."""
    headers = {
        "X-Request-ID": "my-id",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    capsys.readouterr()
    with started(Settings(store=store, device="cpu", **settings)) as service:
        service.get("/generate?n=2", headers=headers)
        service.get('/nothing "here"')
    written = capsys.readouterr().err.splitlines()
    return [line for line in written if "generate" in line or "nothing" in line]


def test_a_line_of_json_names_the_request_its_trace_and_its_times(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered, missing = map(json.loads, lines_of(store, capsys, log_format="json"))
    assert answered["request_id"] == "my-id"
    assert answered["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (answered["method"], answered["path"], answered["status"]) == ("GET", "/generate", 200)
    assert answered["duration_ms"] >= answered["inference_ms"] > 0
    assert (missing["path"], missing["status"]) == ('/nothing "here"', 404)
    assert "trace_id" not in missing


def test_a_text_line_names_the_request_and_its_status(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line, _ = lines_of(store, capsys)
    assert re.fullmatch(
        r"INFO:     127.0.0.1 GET '/generate' 200 in [0-9.]+ ms, request my-id", line
    )


@pytest.mark.parametrize("quiet", [{"log_requests": False}, {"log_level": "warning"}])
def test_requests_are_not_logged_if_that_is_switched_off(
    store: Path, capsys: pytest.CaptureFixture[str], quiet: dict[str, Any]
) -> None:
    assert lines_of(store, capsys, **quiet) == []


def test_a_line_of_json_names_the_request_that_it_belongs_to() -> None:
    record = logging.LogRecord("zserve", logging.ERROR, "a.py", 1, "%d fell", (3,), None)
    token = REQUEST.set(RequestLabels("my-id"))
    try:
        line = json.loads(JsonFormatter().format(record))
    finally:
        REQUEST.reset(token)
    assert (line["message"], line["level"], line["request_id"]) == ("3 fell", "error", "my-id")


def test_a_thousand_clients_that_disconnect_while_queued_cost_no_image(own: Service) -> None:
    """The server has read the whole body of each request when the connection is closed."""
    engine = own.app.state.services.engine
    images = 'zserve_images_total{model="mnist@1"}'

    async def client(left: asyncio.Event) -> list[str]:
        incoming = [{"type": "http.request", "body": b"", "more_body": False}]
        sent: list[str] = []

        async def receive() -> dict[str, Any]:
            if incoming:
                return incoming.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/generate",
            "query_string": b"n=4",
            "headers": [],
        }
        await own.app(scope, receive, send)
        return sent

    async def run() -> None:
        left = asyncio.Event()
        engine.pause()
        clients = [asyncio.create_task(client(left)) for _ in range(1000)]
        await asyncio.sleep(0)
        assert engine.waiting_images == 4000
        await asyncio.sleep(0.1)
        left.set()
        for task in clients:
            assert await task == []
        assert engine.waiting_images == 0
        engine.resume()

    own.portal.call(run)
    assert own.get("/generate?n=3").status_code == 200
    samples = metrics(own)
    assert samples[images] == 3
    assert samples["zserve_clients_left_total"] == 1000
