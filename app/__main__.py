"""python -m app: serve the models of a store over HTTP."""

import argparse
import contextlib
import errno
import gc
import logging
import logging.config
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.errors import SettingsError
from app.inference.engine import choose_device
from app.observability.logs import log_config
from app.server.supervisor import Supervisor
from app.settings import PREFIX, Settings, read_settings

log = logging.getLogger("zserve")

_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""`localhost` also means ::1, on machines that have it and on those that have not."""

SHARED_METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus_client's own, for several processes that count together."""

UNUSABLE = 2
"""Exit status where the service cannot start as it is configured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; 2 with one line on stderr where that cannot begin."""
    options = vars(_parser().parse_args(arguments))
    try:
        settings = read_settings(**options)
        _check_device(settings)
        listeners = _listen(settings)
    except SettingsError as error:
        print(f"zserve: {error}", file=sys.stderr)
        return UNUSABLE
    return _serve(settings, listeners) if settings.workers == 1 else _share(settings, listeners)


def _check_device(settings: Settings) -> None:
    """Raises SettingsError with one line where a GPU is asked for by name and cannot be used.

    Before workers are forked, a process of its own looks: CUDA does not survive a fork.
    """
    if settings.workers == 1:
        choose_device(settings.device)
    elif settings.device == "cuda":
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as looker:
            looker.submit(choose_device, settings.device).result()


def _serve(
    settings: Settings, listeners: list[socket.socket], shared_metrics: Path | None = None
) -> int:
    """Serve in this process."""
    # prometheus_client decides when it is imported whether several processes share its metrics.
    from app.asgi import create_app  # noqa: PLC0415

    app = create_app(settings, shared_metrics=shared_metrics)
    server = Server(_uvicorn_config(app, settings, port=listeners[0].getsockname()[1]))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=listeners)
    return 0 if server.started else 1


def _share(settings: Settings, listeners: list[socket.socket]) -> int:
    """Serve in several processes; the device is looked at in each, CUDA does not survive a fork."""

    def work() -> int:
        try:
            choose_device(settings.device)
        except SettingsError as error:
            print(f"zserve: {error}", file=sys.stderr)
            return UNUSABLE
        return _serve(settings, listeners, Path(folder))

    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    for listener in listeners:
        listener.listen(2048)
    _settle()
    with tempfile.TemporaryDirectory(prefix="zserve-metrics-") as folder:
        os.environ[SHARED_METRICS_VARIABLE] = folder
        return Supervisor(
            work,
            settings.workers,
            stop_timeout_s=settings.shutdown_timeout_s + 5.0,
            fatal=frozenset({UNUSABLE}),
            metrics=Path(folder),
        ).run()


class Server(uvicorn.Server):
    """Says where it serves: uvicorn does not, for a socket that it was handed."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the app, start to listen, and log the address."""
        await super().startup(sockets)
        _settle()
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            log.info("serving on http://%s:%d (docs at /docs)", host, self.config.port)


def _settle() -> None:
    """Let the garbage collector leave alone what stays: mostly torch, 0.1 s to look through.

    Before a fork it also keeps these objects' pages shared.
    """
    gc.collect()
    gc.freeze()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Serve the models of a store over HTTP.",
        epilog=f"Every option is also a variable, such as {PREFIX}PORT; "
        f"so is every limit, such as {PREFIX}MAX_IMAGES.",
    )
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for name, metavar, text in (
        ("host", "ADDRESS", "address to listen on"),
        ("port", "PORT", "port; 0 takes a free one"),
        ("store", "FOLDER", "folder of the models"),
        ("model", "NAME", "model of requests that name none"),
        ("device", "auto|cpu|cuda", "where to compute; auto takes a GPU where there is one"),
        ("workers", "N", "processes behind the port, each with its model"),
        ("log-level", "LEVEL", "debug, info, warning or error"),
    ):
        default = defaults[name.replace("-", "_")]
        shown = "models/ and the shipped ones" if name == "store" else default
        parser.add_argument(f"--{name}", metavar=metavar, help=f"{text} (default: {shown})")
    return parser


def _listen(settings: Settings) -> list[socket.socket]:
    """A socket for each address of the host; raises SettingsError with one line."""
    where = f"{settings.host[:80]}:{settings.port}"
    advice = f"choose another with --host and --port, or {PREFIX}HOST and {PREFIX}PORT"
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"{where} is not an address to listen on; {advice}") from error
    listeners: list[socket.socket] = []
    refusal = "this machine has no such address"
    for family, _, _, _, address in dict.fromkeys(found):
        port = listeners[0].getsockname()[1] if listeners else settings.port
        try:
            listeners.append(_bind(family, (address[0], port, *address[2:])))
        except OSError as error:
            refusal = error.strerror or str(error)
            if error.errno not in _NO_SUCH_ADDRESS:
                break
    else:
        if listeners:
            return listeners
    for listener in listeners:
        listener.close()
    raise SettingsError(f"cannot listen on {where}: {refusal}; {advice}")


def _bind(family: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _uvicorn_config(app: FastAPI, settings: Settings, *, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=port,
        lifespan="on",
        ws="none",
        server_header=False,
        log_level=settings.log_level,
        log_config=log_config(settings.log_format, settings.log_level),
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )


if __name__ == "__main__":
    sys.exit(main())
