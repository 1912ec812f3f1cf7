"""Metrics for Prometheus, spans for OpenTelemetry, and the times of a request for its headers.

Metrics of inference have the version as a label (`model="mnist@1"`). With several workers, each
writes files in a folder of the supervisor, and every worker reports the sum: counters and
histograms of all workers, also of those that died.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from opentelemetry.trace import Tracer, get_current_span
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from app.observability.service_state import ServiceState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
"""Methods that are counted by name; clients may send any other."""
_BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(slots=True)
class Times:
    """Times of the calls that one HTTP request made to the engine."""

    queue_s: float = 0.0
    """Seconds that the images of the request waited for the model."""
    inference_s: float = 0.0
    """Seconds that the batches with images of the request took."""
    calls: int = 0
    """Number of calls to the engine."""


TIMES: ContextVar[Times | None] = ContextVar("times", default=None)
"""Times of the request that the current task handles."""


class _ModelMetrics(NamedTuple):
    """The metrics of one version, kept because looking them up by label takes longer."""

    images: Counter
    queue: Histogram
    inference: Histogram
    batch: Histogram


class Telemetry:
    """The metrics of one app; implements the `EngineHooks` of its engine and model cache.

    `shared` is the folder of the workers' files if there are several workers. `tracer` makes spans
    if requests are traced. The app sets `state.health` when it has started.
    """

    def __init__(self, shared: Path | None = None, tracer: Tracer | None = None) -> None:
        self._shared = shared
        self._tracer = tracer
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "zserve_requests", "Answered requests.", ["method", "path", "status"], registry=registry
        )
        self._latency = Histogram(
            "zserve_request_seconds",
            "Seconds from the first byte of a request to the last byte of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejects = Counter(
            "zserve_rejects",
            "Requests that were refused, by reason.",
            ["reason"],
            registry=registry,
        )
        self._left = Counter(
            "zserve_clients_left",
            "Clients that closed the connection before their answer.",
            registry=registry,
        )
        self._images = Counter("zserve_images", "Computed images.", ["model"], registry=registry)
        self._queue = Histogram(
            "zserve_queue_seconds",
            "Seconds that a request waited for the model.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._inference = Histogram(
            "zserve_inference_seconds",
            "Seconds that one batch took.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "zserve_batch_images",
            "Requested images in one batch.",
            ["model"],
            buckets=_BATCH_ROWS,
            registry=registry,
        )
        self._loads = Counter(
            "zserve_model_loads",
            "Attempts to load a version, by outcome.",
            ["model", "outcome"],
            registry=registry,
        )
        self._mismatch = Gauge(
            "zserve_arithmetic_mismatch",
            "1 if this machine's results for an exact version differ from those published, else 0.",
            ["model"],
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._swaps = Counter(
            "zserve_model_swaps",
            "Attempts to serve another version under an alias, by outcome.",
            ["alias", "outcome"],
            registry=registry,
        )
        self._store_away = Gauge(
            "zserve_store_unavailable",
            "1 if the object store does not answer and copies are used, else 0.",
            multiprocess_mode="livemax",
            registry=registry,
        )
        self._waiting = Gauge(
            "zserve_waiting_images",
            "Images that are queued or being computed.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        starts = Counter(
            "zserve_worker_starts", "Worker processes that started.", registry=registry
        )
        starts.inc()
        self.state = ServiceState(shared)
        registry.register(self.state)
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._models: dict[str, _ModelMetrics] = {}

    # --- hooks of the engine and the model cache ---

    def batch_done(self, model: str, images: int, inference_s: float) -> None:
        """Count a batch and its images."""
        metrics = self._model_metrics(model)
        metrics.images.inc(images)
        metrics.inference.observe(inference_s)
        metrics.batch.observe(images)

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Record the wait, and add to the times that the answer's headers show."""
        self._model_metrics(model).queue.observe(queue_s)
        times = TIMES.get()
        if times is not None:
            times.queue_s += queue_s
            times.inference_s += inference_s
            times.calls += 1
        if self._tracer is not None and get_current_span().is_recording():
            self._trace(self._tracer, model, images, queue_s, inference_s)

    def waiting(self, images: int) -> None:
        """Set the gauge of waiting images of this worker."""
        self._waiting.set(images)

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """Count a load."""
        self._loads.labels(model, "loaded" if ok else "refused").inc()

    def arithmetic_checked(self, model: str, *, ok: bool) -> None:
        """Set the gauge of an exact version."""
        self._mismatch.labels(model).set(0 if ok else 1)

    def swapped(self, alias: str, *, ok: bool) -> None:
        """Count a swap."""
        self._swaps.labels(alias, "swapped" if ok else "refused").inc()

    def store_asked(self, *, ok: bool) -> None:
        """Set the gauge of the object store."""
        self._store_away.set(0 if ok else 1)

    # --- called by the middleware ---

    def answered(
        self, method: str, path: str, status: int, seconds: float, reason: str | None
    ) -> None:
        """Count an answer. `path` is the pattern of its route; `reason` the slug of its problem."""
        key = (method, path, status)
        metrics = self._answers.get(key)
        if metrics is None:
            method = method if method in _METHODS else "other"
            answers = self._requests.labels(method, path, str(status))
            metrics = self._answers[key] = (answers, self._latency.labels(path))
        metrics[0].inc()
        metrics[1].observe(seconds)
        if reason is not None:
            self._rejects.labels(reason).inc()

    def refused(self, status: int, reason: str) -> None:
        """Count a request that was refused before its method and path were known."""
        self._requests.labels("other", "other", str(status)).inc()
        self._rejects.labels(reason).inc()

    def client_left(self) -> None:
        """Count a client that closed the connection before its answer."""
        self._left.inc()

    # --- read by Prometheus ---

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format, summed over all workers."""
        if self._shared is None:
            return generate_latest(self._registry)
        all_workers = CollectorRegistry()
        MultiProcessCollector(all_workers, path=str(self._shared))  # type: ignore[no-untyped-call]
        all_workers.register(self.state)
        return generate_latest(all_workers)

    @staticmethod
    def _trace(tracer: Tracer, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Record the wait and the computation as two spans within the span of the request.

        The batches of a large request become one span, although batches of other requests ran in
        between.
        """
        end = time.time_ns()
        computing = end - round(inference_s * 1e9)
        attributes: dict[str, str | int] = {"zserve.model": model, "zserve.images": images}
        waiting = computing - round(queue_s * 1e9)
        for name, start, stop in (("queue", waiting, computing), ("inference", computing, end)):
            tracer.start_span(name, start_time=start, attributes=attributes).end(stop)

    def _model_metrics(self, model: str) -> _ModelMetrics:
        metrics = self._models.get(model)
        if metrics is None:
            metrics = self._models[model] = _ModelMetrics(
                self._images.labels(model),
                self._queue.labels(model),
                self._inference.labels(model),
                self._batch.labels(model),
            )
        return metrics
