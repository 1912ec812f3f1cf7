"""Serve the app with uvicorn: in this process, or in several worker processes."""

import asyncio
import contextlib
import functools
import gc
import logging
import logging.config
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import cast

import uvicorn
from fastapi import FastAPI

from app.errors import SettingsError
from app.inference.devices import choose_device
from app.observability.logs import log_config
from app.server.connections import ConnectionLimits, ConnectionTable
from app.server.protocol import HttpProtocol
from app.server.supervisor import Supervisor
from app.settings import Settings

log = logging.getLogger("zserve")

EXIT_UNUSABLE = 2
"""Exit status of a service that cannot start with its settings."""

SHARED_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Variable by which prometheus_client shares counters between processes."""


def serve(
    settings: Settings, listeners: list[socket.socket], shared_metrics: Path | None = None
) -> int:
    """Serve in this process until a signal comes; return the exit status."""
    # Imported late: prometheus_client decides on import if several processes share its metrics.
    from app.asgi import create_app  # noqa: PLC0415

    app = create_app(settings, shared_metrics=shared_metrics)
    table = ConnectionTable(ConnectionLimits.of(settings), app.state.record_refusal)
    server = Server(_uvicorn_config(app, settings, table, port=listeners[0].getsockname()[1]))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=listeners)
    return 0 if server.started else 1


def serve_workers(settings: Settings, listeners: list[socket.socket]) -> int:
    """Serve in several processes until a signal comes; return the exit status."""

    def work() -> int:
        try:
            choose_device(settings.device)  # in each worker: CUDA does not survive a fork
        except SettingsError as error:
            print(f"zserve: {error}", file=sys.stderr)
            return EXIT_UNUSABLE
        return serve(settings, listeners, Path(folder))

    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for listener in listeners:
        listener.listen(2048)
    freeze_gc()
    with tempfile.TemporaryDirectory(prefix="zserve-metrics-") as folder:
        os.environ[SHARED_METRICS_VARIABLE] = folder
        return Supervisor(
            work,
            settings.workers,
            stop_timeout_s=settings.shutdown_timeout_s + 5.0,
            fatal=frozenset({EXIT_UNUSABLE}),
            metrics=Path(folder),
        ).run()


class Server(uvicorn.Server):
    """A uvicorn server that logs its address, also if it was given open sockets."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the app, start to listen, and log the address."""
        await super().startup(sockets)
        freeze_gc()
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            log.info("serving on http://%s:%d (docs at /docs)", host, self.config.port)


def freeze_gc() -> None:
    """Exclude the objects that exist now from garbage collection.

    Most of them belong to torch and live as long as the process; visiting them takes 0.1 s in each
    full collection. Before a fork this also keeps their memory pages shared with the child.
    """
    gc.collect()
    gc.freeze()


def _uvicorn_config(
    app: FastAPI, settings: Settings, table: ConnectionTable, *, port: int
) -> uvicorn.Config:
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
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
