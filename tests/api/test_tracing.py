"""Requests as spans, as an OpenTelemetry exporter receives them."""

import subprocess
import sys
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.settings import Settings
from tests.api.service import started

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def spans_of(store: Path, *paths: str, **settings: bool) -> tuple[dict[str, ReadableSpan], str]:
    """Return the spans of some requests by name, and the traceparent of the last answer."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    configured = Settings(store=store, device="cpu", **settings)  # type: ignore[arg-type]
    with started(configured, tracer_provider=provider) as service:
        answers = [service.get(path, headers=headers) for path in paths]
    spans = {span.name: span for span in exporter.get_finished_spans()}
    return spans, answers[-1].headers["traceparent"]


def test_a_request_is_a_span_of_the_trace_of_its_caller(store: Path) -> None:
    spans, traceparent = spans_of(store, "/generate?n=20")
    request = spans["GET /generate"]
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == PARENT_ID
    context = request.get_span_context()
    assert context is not None
    assert traceparent == f"00-{TRACE_ID}-{context.span_id:016x}-01"
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200


def test_queue_and_inference_are_spans_within_it(store: Path) -> None:
    spans, _ = spans_of(store, "/generate?n=20")
    request, queue, inference = spans["GET /generate"], spans["queue"], spans["inference"]
    for span in (queue, inference):
        assert span.parent is not None
        assert span.parent == request.get_span_context()
        assert span.attributes == {"zserve.model": "mnist@1", "zserve.images": 20}
    assert queue.end_time == inference.start_time
    assert (inference.end_time or 0) <= (request.end_time or 0)


def test_without_telemetry_nothing_is_traced(store: Path) -> None:
    spans, traceparent = spans_of(store, "/generate?n=20", telemetry=False)
    assert spans == {}
    assert traceparent.startswith(f"00-{TRACE_ID}-")


def test_the_sdk_is_not_imported_unless_it_is_configured() -> None:
    code = (
        "import sys, anyio; from app.asgi import create_app; from app.settings import Settings; "
        "app = create_app(Settings())\n"
        "async def run():\n async with app.router.lifespan_context(app): pass\n"
        "anyio.run(run); assert 'opentelemetry.sdk' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
