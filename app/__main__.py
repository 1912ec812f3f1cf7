"""python -m app: serve the models of a store over HTTP."""

import argparse
import contextlib
import errno
import logging
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn

from app.engine import choose_device
from app.errors import SettingsError
from app.logs import log_config
from app.main import create_app
from app.settings import PREFIX, Settings, read_settings

log = logging.getLogger("zserve")

_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""`localhost` also means ::1, on machines that have it and on those that have not."""

UNUSABLE = 2
"""Exit status where the service cannot start as it is configured."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; 2 with one line on stderr where that cannot begin."""
    options = vars(_parser().parse_args(arguments))
    try:
        settings = read_settings(**options)
        choose_device(settings.device)
        listeners = _listen(settings)
    except SettingsError as error:
        print(f"zserve: {error}", file=sys.stderr)
        return UNUSABLE
    port = listeners[0].getsockname()[1]
    server = Server(_uvicorn_config(settings, port=port))
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=listeners)
    return 0 if server.started else 1


class Server(uvicorn.Server):
    """Says where it serves: uvicorn does not, for a socket that it was handed."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load the app, start to listen, and log the address."""
        await super().startup(sockets)
        if self.started:
            host = f"[{self.config.host}]" if ":" in self.config.host else self.config.host
            log.info("serving on http://%s:%d (docs at /docs)", host, self.config.port)


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
        ("log-level", "LEVEL", "debug, info, warning or error"),
    ):
        default = defaults[name.replace("-", "_")]
        shown = "those that come with zserve" if name == "store" else default
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


def _uvicorn_config(settings: Settings, *, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings),
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
