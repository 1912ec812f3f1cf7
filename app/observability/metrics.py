"""What is counted, for Prometheus, what is traced, for OpenTelemetry, and the times of one request, for its headers.

Counts belong to a version (`model="mnist@1"`) where one was involved. With several workers each
writes its own files in a folder that the supervisor made, and any of them answers for all:
counters and histograms are summed, those of workers that died included.
"""

import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from opentelemetry.trace import Tracer, get_current_span
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TILE_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(slots=True)
class Times:
    """Seconds that one request waited for the model and that its tiles took, and how often."""

    queue_s: float = 0.0
    inference_s: float = 0.0
    calls: int = 0


TIMES: ContextVar[Times | None] = ContextVar("times", default=None)
"""Of the request that this task handles."""


class _OfModel(NamedTuple):
    """The metrics of one version; looking them up by label each time would cost more."""

    images: Counter
    queue: Histogram
    inference: Histogram
    batch: Histogram


class Telemetry:
    """The metrics of one app; an `Observer` of its engine and its catalog.

    `shared` is the folder of the workers' files, where there are several workers; `tracer` makes the
    spans, where requests are traced.
    """

    def __init__(self, shared: Path | None = None, tracer: Tracer | None = None) -> None:
        self._shared = shared
        self._tracer = tracer
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "zserve_requests", "Answers.", ["method", "path", "status"], registry=registry
        )
        self._latency = Histogram(
            "zserve_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejects = Counter(
            "zserve_rejects", "Requests that were refused.", ["reason"], registry=registry
        )
        self._left = Counter(
            "zserve_clients_left", "Clients that left before their answer.", registry=registry
        )
        self._images = Counter(
            "zserve_images", "Images that were computed.", ["model"], registry=registry
        )
        self._queue = Histogram(
            "zserve_queue_seconds",
            "Wait for the model.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._inference = Histogram(
            "zserve_inference_seconds",
            "One tile.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "zserve_batch_images",
            "Rows of a tile that requests asked for.",
            ["model"],
            buckets=_TILE_ROWS,
            registry=registry,
        )
        self._loads = Counter(
            "zserve_model_loads", "Versions loaded.", ["model", "outcome"], registry=registry
        )
        self._swaps = Counter(
            "zserve_model_swaps", "Aliases that moved.", ["alias", "outcome"], registry=registry
        )
        self._waiting = Gauge(
            "zserve_waiting_images",
            "Images that are queued or being computed.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._models: dict[str, _OfModel] = {}

    # --- what the engine and the catalog say ---

    def tile_done(self, model: str, images: int, inference_s: float) -> None:
        """Count the tile and its images."""
        of = self._of(model)
        of.images.inc(images)
        of.inference.observe(inference_s)
        of.batch.observe(images)

    def request_done(self, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Count the wait, and keep the times for the headers of this answer."""
        self._of(model).queue.observe(queue_s)
        times = TIMES.get()
        if times is not None:
            times.queue_s += queue_s
            times.inference_s += inference_s
            times.calls += 1
        if self._tracer is not None and get_current_span().is_recording():
            self._trace(self._tracer, model, images, queue_s, inference_s)

    def model_loaded(self, model: str, *, ok: bool) -> None:
        """Count the load."""
        self._loads.labels(model, "loaded" if ok else "refused").inc()

    def swapped(self, alias: str, *, ok: bool) -> None:
        """Count the swap."""
        self._swaps.labels(alias, "swapped" if ok else "refused").inc()

    # --- what the middleware says ---

    def answered(
        self, method: str, path: str, status: int, seconds: float, reason: str | None
    ) -> None:
        """Count an answer; `path` is the pattern of its route, `reason` the slug of a problem."""
        key = (method, path, status)
        known = self._answers.get(key)
        if known is None:
            answers = self._requests.labels(method, path, str(status))
            known = self._answers[key] = (answers, self._latency.labels(path))
        known[0].inc()
        known[1].observe(seconds)
        if reason is not None:
            self._rejects.labels(reason).inc()

    def client_left(self) -> None:
        """Count a client that did not wait for its answer."""
        self._left.inc()

    # --- what Prometheus reads ---

    def exposition(self, waiting_images: int) -> bytes:
        """All of it as text; of all workers where there are several."""
        self._waiting.set(waiting_images)
        if self._shared is None:
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody, path=str(self._shared))  # type: ignore[no-untyped-call]
        return generate_latest(everybody)

    @staticmethod
    def _trace(tracer: Tracer, model: str, images: int, queue_s: float, inference_s: float) -> None:
        """Two spans within that of the request, for an OpenTelemetry that is set up.

        The tiles of a large request, between which others had their turns, are shown as one.
        """
        end = time.time_ns()
        computing = end - round(inference_s * 1e9)
        about: dict[str, str | int] = {"zserve.model": model, "zserve.images": images}
        waiting = computing - round(queue_s * 1e9)
        for name, start, stop in (("queue", waiting, computing), ("inference", computing, end)):
            tracer.start_span(name, start_time=start, attributes=about).end(stop)

    def _of(self, model: str) -> _OfModel:
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = _OfModel(
                self._images.labels(model),
                self._queue.labels(model),
                self._inference.labels(model),
                self._batch.labels(model),
            )
        return known
