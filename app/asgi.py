"""Assemble the service: create_app(settings) connects routes, middleware, engine and store."""

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from fastapi import FastAPI
from opentelemetry.trace import TracerProvider, get_tracer

from app.access.access import Access
from app.api import error_handlers, openapi
from app.api.dependencies import Services
from app.api.gate import Gate
from app.api.large_bodies import LargeBodies
from app.api.middleware.access import AccessMiddleware
from app.api.middleware.admission import AdmissionMiddleware
from app.api.middleware.body_limit import BodyLimitMiddleware
from app.api.middleware.disconnect import DisconnectMiddleware
from app.api.middleware.head import HeadMiddleware
from app.api.middleware.metrics import MetricsMiddleware, record_refusal
from app.api.middleware.proxy import ProxyMiddleware
from app.api.middleware.request_context import RequestContextMiddleware
from app.api.openai_schema import MAX_OPENAI_BYTES
from app.api.paths import OPENAI
from app.api.problems import find_remedy
from app.api.queries import MAX_PROMOTION_BYTES
from app.api.routes import (
    compression,
    edit,
    encode_decode,
    generate,
    health,
    interpolate,
    mcp,
    models,
    openai,
    page,
    reconstruct,
    score,
    traverse,
    v2,
    version_files,
)
from app.errors import NotReadyError
from app.imaging.decoder import Decoder
from app.inference.backend import ChosenBackend
from app.inference.compression import Compressor
from app.inference.devices import choose_device, has_gpu, unusable_reason
from app.inference.engine import Engine
from app.inference.model_cache import ModelCache
from app.observability.logs import RequestLog
from app.observability.metrics import Telemetry
from app.observability.service_state import Health
from app.served_store import open_served_store
from app.settings import Settings
from app.stopping import Stopping

log = logging.getLogger("zserve")

_ANSWER_THREADS = 4
"""Threads that parse large JSON bodies, and encode large answers and archives."""

_ROUTERS = (
    generate,
    reconstruct,
    interpolate,
    traverse,
    edit,
    encode_decode,
    score,
    compression,
    v2,
    models,
    version_files,
    health,
    page,
)


def create_app(
    settings: Settings,
    *,
    shared_metrics: Path | None = None,
    tracer_provider: TracerProvider | None = None,
    stopping: Stopping | None = None,
) -> FastAPI:
    """Create the ASGI app; models are loaded when it starts, not before.

    `shared_metrics` is the folder in which several workers keep their metrics. Traces are sent to
    `tracer_provider`, or else as OpenTelemetry's OTEL_* variables configure, if one of them is set.
    `stopping` tells the app when the server stops.
    """
    configured = tracer_provider is not None or any(name.startswith("OTEL_") for name in os.environ)
    tracing = settings.telemetry and configured
    app = FastAPI(
        title="zserve",
        version="1",
        description=openapi.DESCRIPTION,
        lifespan=_lifespan,
        routes=[route for module in _routers(settings) for route in module.router.routes],
        telemetry={
            "tracing": tracing,
            "auto_configure": tracing,
            "tracer_provider": tracer_provider,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
        },
        redirect_slashes=False,  # error_handlers redirects, without the Host of the request
        docs_url=None,
        redoc_url=None,
        openapi_external_docs=_external_docs(settings),
    )
    app.state.settings = settings
    app.state.stopping = stopping = stopping or Stopping()
    app.state.telemetry = telemetry = Telemetry(
        shared_metrics, get_tracer("zserve", tracer_provider=tracer_provider) if tracing else None
    )
    app.state.access = access = Access(settings)
    error_handlers.install(app)
    openapi.describe(app)
    app.add_middleware(
        BodyLimitMiddleware,
        max_body_bytes=settings.max_body_bytes,
        max_buffered_bytes=settings.max_buffered_bytes,
        others={
            **dict.fromkeys(openapi.paths_with_files(app.routes), settings.max_upload_bytes),
            "/v2": settings.max_v2_body_bytes,
            "/models": min(settings.max_body_bytes, MAX_PROMOTION_BYTES),
            OPENAI: min(settings.max_body_bytes, MAX_OPENAI_BYTES),
        },
    )
    app.add_middleware(DisconnectMiddleware, stopping=stopping)
    if access.guarded:
        app.add_middleware(AccessMiddleware, access=access)
    app.add_middleware(HeadMiddleware)
    app.state.request_log = request_log = (
        RequestLog(settings.log_format)
        if settings.log_requests and settings.log_level in {"debug", "info"}
        else None
    )
    app.state.record_refusal = functools.partial(
        record_refusal, telemetry if settings.telemetry else None, request_log
    )
    app.state.gate = gate = Gate(
        retry_after_s=settings.retry_after_s,
        max_images=settings.max_images,
        telemetry=telemetry if settings.telemetry else None,
        request_log=request_log if settings.telemetry else None,
    )
    app.add_middleware(AdmissionMiddleware, gate=gate)
    if settings.telemetry:
        app.add_middleware(MetricsMiddleware, telemetry=telemetry, request_log=request_log)
    app.add_middleware(
        RequestContextMiddleware, tracing=tracing, frame_ancestors=settings.frame_ancestors
    )
    if settings.trusted_proxies or settings.root_path:
        app.add_middleware(
            ProxyMiddleware, trusted=settings.trusted_proxies, root_path=settings.root_path
        )
    app.mount("/static", page.files, name="static")
    return app


def _routers(settings: Settings) -> tuple[ModuleType, ...]:
    """Return the modules whose routes the service has."""
    options = {openai: settings.openai_api, mcp: settings.mcp}
    return (*_ROUTERS, *(module for module, chosen in options.items() if chosen))


def _external_docs(settings: Settings) -> dict[str, str] | None:
    """Return the entry of the API description that /docs shows as a link."""
    if settings.docs_url is None:
        return None
    return {"description": "Documentation", "url": str(settings.docs_url)}


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    telemetry: Telemetry = app.state.telemetry
    hooks = telemetry if settings.telemetry else None
    device = choose_device(settings.device)
    if settings.device == "auto" and device == "cpu":
        level = logging.WARNING if has_gpu() else logging.DEBUG
        log.log(level, "no GPU can be used (%s): computing on the CPU", unusable_reason())
    engine = Engine(
        ChosenBackend(device, settings.torch_threads),
        queue_bytes=settings.queue_bytes,
        timeout_s=settings.request_timeout_s,
        target_wait_s=settings.target_wait_s,
        batch_requests=settings.batch_requests,
        hooks=hooks,
    )
    store = open_served_store(settings)
    cache = ModelCache(
        store,
        engine,
        default=settings.model,
        capacity=settings.max_loaded_models,
        max_bytes=settings.max_loaded_bytes,
        promotion_timeout_s=settings.promotion_timeout_s,
        hooks=hooks,
    )
    app.state.gate.open(engine, cache)
    compressor = Compressor(
        store,
        timeout_s=settings.request_timeout_s,
        target_wait_s=settings.target_wait_s,
        threads=settings.torch_threads,
        hooks=hooks,
    )
    large_bodies = LargeBodies(
        settings.max_large_bodies,
        above_bytes=settings.max_body_bytes,
        timeout_s=settings.request_timeout_s,
    )
    decoder = Decoder(
        processes=settings.upload_processes,
        queue=settings.queue_uploads,
        cpu_s=settings.upload_cpu_s,
        cpu_s_per_mib=settings.upload_cpu_s_per_mib,
        memory_bytes=settings.upload_memory_bytes,
    )
    # Models, uploads and compression have threads of their own: these are for large JSON and answers.
    answers = ThreadPoolExecutor(_ANSWER_THREADS, "answers")
    asyncio.get_running_loop().set_default_executor(answers)
    app.state.services = Services(
        settings,
        store,
        engine,
        cache,
        compressor,
        decoder,
        telemetry,
        large_bodies,
        app.state.stopping,
    )
    try:
        await cache.default_or_reason()
    except NotReadyError as error:
        log.error("not ready: %s; %s", error, find_remedy(error))  # noqa: TRY400 - expected
    stopping: Stopping = app.state.stopping
    telemetry.state.health = lambda: Health(
        ready=cache.has_default and not stopping.announced, degraded=len(cache.degraded)
    )
    app.openapi()  # before the first request: making it would hold the event loop for 0.1 s
    watcher = asyncio.create_task(cache.watch())
    try:
        async with _tools(app):
            yield
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await cache.close()
        engine.close()
        compressor.close()
        decoder.close()
        await app.state.access.close()
        if app.state.request_log is not None:
            app.state.request_log.flush()


@contextlib.asynccontextmanager
async def _tools(app: FastAPI) -> AsyncIterator[None]:
    """Answer /mcp, if the settings ask for it."""
    if not app.state.settings.mcp:
        yield
        return
    from app.api.mcp_service import session_manager  # noqa: PLC0415 - the package mcp is optional

    app.state.mcp = manager = session_manager(app.state.services)
    async with manager.run():
        yield
