"""The command line: read the settings, open the sockets, serve."""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from app.access.api_keys import read_keys
from app.errors import SettingsError
from app.inference.devices import choose_device
from app.served_store import check_store
from app.server.cores import choose_workers
from app.server.folders import check_folders
from app.server.open_files import raise_file_limit
from app.server.serve import EXIT_UNUSABLE, serve, serve_workers
from app.server.sockets import listen
from app.settings import PREFIX, Settings, read_settings
from model_store.command_line import ArgumentParser


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m app") -> int:
    """Serve until a signal comes; return the exit status.

    The status is 2, with one line on stderr, if the service cannot start with these settings.
    `prog` is the command as help and messages name it.
    """
    parser = ArgumentParser(prog=prog, description="Serve the models of a store over HTTP.")
    add_options(parser)
    options = vars(parser.parse_args(arguments))
    try:
        settings = read_settings(**options)
        workers = choose_workers(settings)
        check_folders(settings, workers, os.environ)
        _check_device(settings, workers)
        if settings.api_keys is not None:
            read_keys(settings.api_keys)
        check_store(settings)
        listeners = listen(settings)
    except SettingsError as error:
        print(f"zserve: {error}", file=sys.stderr)
        return EXIT_UNUSABLE
    raise_file_limit()
    if workers == 1:
        return serve(settings, listeners)
    return serve_workers(settings, listeners, workers)


def _check_device(settings: Settings, workers: int) -> None:
    """Raise SettingsError if a GPU is requested by name and cannot be used.

    With several workers the check runs in a process of its own: CUDA does not survive the fork of
    the workers.
    """
    if workers == 1:
        choose_device(settings.device)
    elif settings.device == "cuda":
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            pool.submit(choose_device, settings.device).result()


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line."""
    parser.epilog = (
        "Every option can also be set by an environment variable, for example "
        f"{PREFIX}PORT, and so can every limit, for example {PREFIX}MAX_IMAGES."
    )
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for name, metavar, text in (
        ("host", "ADDRESS", "address to listen on"),
        ("port", "PORT", "port to listen on; 0 chooses a free port"),
        ("store", "STORE", "folder with the models, or s3://bucket/prefix"),
        ("model", "NAME", "model to use when a request names none"),
        ("device", "auto|cpu|cuda", "device to compute on; auto uses a GPU if there is one"),
        ("workers", "N", "number of processes that share the port; each loads its own models"),
        ("log-level", "LEVEL", "debug, info, warning or error"),
    ):
        value = defaults[name.replace("-", "_")]
        default = {
            "store": "your own models and the shipped ones",
            "workers": "one for each core",
        }.get(name, value)
        parser.add_argument(f"--{name}", metavar=metavar, help=f"{text} (default: {default})")
