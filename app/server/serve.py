"""Serve the app with uvicorn: in this process, or in several worker processes."""

import asyncio
import contextlib
import functools
import logging
import logging.config
import os
import socket
import sys
from typing import cast

import uvicorn
from fastapi import FastAPI

from app.errors import SettingsError
from app.inference.devices import choose_device
from app.observability.logs import log_config
from app.server.accepting import accepting_more
from app.server.connections import ConnectionLimits, ConnectionTable
from app.server.metrics_folder import MetricsFolder
from app.server.protocol import HttpProtocol
from app.server.server import Server, freeze_gc, note_startup_failure
from app.server.sockets import refuse_new_clients
from app.server.stderr import threaded_stderr
from app.server.supervisor import Policy, Supervisor
from app.server.worker import Reporter
from app.settings import Settings
from app.stopping import Stopping

log = logging.getLogger("zserve")

EXIT_UNUSABLE = 2
"""Exit status of a service that cannot start with its settings."""

SHARED_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Variable by which prometheus_client shares counters between processes."""


def serve(settings: Settings, listeners: list[socket.socket]) -> int:
    """Serve in this process until a signal comes; return the exit status."""
    # Imported late: prometheus_client decides on import if several processes share its metrics.
    from app.asgi import create_app  # noqa: PLC0415

    stopping = Stopping()
    with threaded_stderr(), contextlib.suppress(KeyboardInterrupt):
        app = create_app(settings, stopping=stopping)
        config = _uvicorn_config(app, settings, port=listeners[0].getsockname()[1])
        server = Server(config, stopping, delay_s=settings.shutdown_delay_s)
        server.run(sockets=accepting_more(listeners))
    return 0 if server.started else 1


def serve_workers(settings: Settings, listeners: list[socket.socket], workers: int) -> int:
    """Serve in several processes until a signal comes; return the exit status."""
    with threaded_stderr():
        logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
        for listener in listeners:
            listener.listen(2048)
        folder = MetricsFolder()
        os.environ[SHARED_METRICS_VARIABLE] = str(folder.path)
        try:
            return _supervisor(settings, listeners, workers, folder).run()
        finally:
            folder.leave()


def _supervisor(
    settings: Settings, listeners: list[socket.socket], workers: int, folder: MetricsFolder
) -> Supervisor:
    # Imported before the workers are forked, so that they share its memory and start sooner.
    from app.asgi import create_app  # noqa: PLC0415

    stopping = Stopping()

    def work(reporter: Reporter) -> int:
        try:
            choose_device(settings.device)  # in each worker: CUDA does not survive a fork
        except SettingsError as error:
            print(f"zserve: {error}", file=sys.stderr)
            reporter.failed(str(error))
            return EXIT_UNUSABLE
        app = create_app(settings, shared_metrics=folder.path, stopping=stopping)
        note_startup_failure(app, reporter.failed)
        config = _uvicorn_config(app, settings, port=listeners[0].getsockname()[1])
        server = Server(config, stopping, reporter=reporter)
        server.run(sockets=listeners)
        if reporter.orphaned:
            folder.leave()
        return 0 if server.started else 1

    def refuse() -> None:
        refuse_new_clients(listeners)
        for listener in listeners:
            listener.close()

    freeze_gc()
    return Supervisor(
        work,
        workers,
        policy=Policy(
            stop_timeout_s=settings.shutdown_timeout_s + 10.0,
            heartbeat_timeout_s=settings.heartbeat_timeout_s,
            fatal=frozenset({EXIT_UNUSABLE}),
            delay_s=settings.shutdown_delay_s,
        ),
        metrics=folder.path,
        announce=stopping.announce,
        refuse=refuse,
    )


def _uvicorn_config(app: FastAPI, settings: Settings, *, port: int) -> uvicorn.Config:
    table = ConnectionTable(ConnectionLimits.of(settings), app.state.record_refusal)
    protocol = functools.partial(HttpProtocol, table)
    return uvicorn.Config(
        app,
        http=cast(type[asyncio.Protocol], protocol),  # uvicorn calls it, and nothing else
        host=settings.host,
        port=port,
        lifespan="on",
        ws="none",
        server_header=False,
        log_level=settings.log_level,
        log_config=log_config(settings.log_format, settings.log_level),
        access_log=False,
        proxy_headers=False,  # app.api.middleware.proxy reads them
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
