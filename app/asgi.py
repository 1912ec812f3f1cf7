"""create_app(settings): wiring only."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider, get_tracer
from starlette.staticfiles import StaticFiles

from app.api import openapi, problems
from app.api.dependencies import Services
from app.api.middleware import Abandonment, BodyLimit, HeadLikeGet, Observe, RequestContext
from app.api.routes import (
    encode_decode,
    generate,
    health,
    interpolate,
    models,
    page,
    reconstruct,
    traverse,
    v2,
)
from app.errors import NotReadyError
from app.inference import cuda_graphs
from app.inference.engine import Engine, choose_device
from app.inference.model_cache import Catalog
from app.observability.logs import RequestLog
from app.observability.metrics import Telemetry
from app.settings import Settings
from model_store.store import open_store

log = logging.getLogger("zserve")

_NOUNS = (generate, reconstruct, interpolate, traverse, encode_decode, v2, models, health, page)


def create_app(
    settings: Settings,
    *,
    shared_metrics: Path | None = None,
    tracer_provider: TracerProvider | None = None,
) -> FastAPI:
    """The service as an ASGI app; models are loaded when it starts, not before.

    `shared_metrics` is the folder in which several workers sum their metrics. Requests are traced
    where OpenTelemetry is installed and OTEL_EXPORTER_OTLP_ENDPOINT set, or to `tracer_provider`.
    """
    wanted = tracer_provider is not None or any(name.startswith("OTEL_") for name in os.environ)
    tracing = settings.telemetry and wanted
    app = FastAPI(
        title="zserve",
        version="1",
        description=openapi.DESCRIPTION,
        lifespan=_lifespan,
        routes=[route for noun in _NOUNS for route in noun.router.routes],
        telemetry={
            "tracing": tracing,
            "auto_configure": tracing,
            "tracer_provider": tracer_provider,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
        },
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.telemetry = telemetry = Telemetry(
        shared_metrics, get_tracer("zserve", tracer_provider=tracer_provider) if tracing else None
    )
    problems.install(app)
    openapi.describe(app)
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(Abandonment)
    app.add_middleware(HeadLikeGet)
    app.state.request_log = request_log = (
        RequestLog(settings.log_format)
        if settings.log_requests and settings.log_level in {"debug", "info"}
        else None
    )
    if settings.telemetry:
        app.add_middleware(Observe, telemetry=telemetry, request_log=request_log)
    app.add_middleware(RequestContext, tracing=tracing)
    app.mount("/static", StaticFiles(directory=page.FILES), name="static")
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    telemetry: Telemetry = app.state.telemetry
    observer = telemetry if settings.telemetry else None
    device = choose_device(settings.device)
    if settings.device == "auto" and device.type == "cpu":
        log.warning("no GPU can be used (%s): computing on the CPU", cuda_graphs.fault())
    engine = Engine(
        queue_images=settings.queue_images,
        timeout_s=settings.request_timeout_s,
        threads=settings.torch_threads,
        batch_requests=settings.batch_requests,
        observer=observer,
    )
    store = open_store(settings.store)
    catalog = Catalog(
        store,
        engine,
        device,
        default=settings.model,
        capacity=settings.max_loaded_models,
        max_bytes=settings.max_loaded_bytes,
        observer=observer,
    )
    app.state.services = Services(settings, store, engine, catalog, telemetry)
    try:
        await catalog.default_or_reason()
    except NotReadyError as error:
        log.error("not ready: %s; %s", error, error.remedy)  # noqa: TRY400 - a reason, no crash
    watcher = asyncio.create_task(catalog.watch())
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await catalog.close()
        engine.close()
        if app.state.request_log is not None:
            app.state.request_log.flush()
