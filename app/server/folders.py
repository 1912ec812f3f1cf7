"""Check the folders that the environment names, before anything is loaded."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from app.errors import SettingsError
from app.settings import PREFIX, Settings

_METRICS_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Variables by which prometheus_client keeps metrics in files; it reads them when it is imported."""


def check_folders(
    settings: Settings,
    workers: int,
    environment: Mapping[str, str],
    find_temporary: Callable[[], str] = tempfile.gettempdir,
) -> None:
    """Raise SettingsError if a folder that the service reads or writes cannot be used.

    `find_temporary` returns the folder of temporary files, or raises OSError.
    """
    for variable in _METRICS_VARIABLES:
        if variable in environment:
            _check_metrics_folder(variable, environment[variable])
    if isinstance(settings.store, Path) and not os.access(settings.store, os.R_OK | os.X_OK):
        raise SettingsError(
            f"{PREFIX}STORE: the folder {_shown(settings.store)} cannot be read; "
            f"let user {os.getuid()} read it"
        )
    if workers > 1:
        _check_temporary_folder(find_temporary)


def _check_metrics_folder(variable: str, value: str) -> None:
    """Raise SettingsError if prometheus_client could not write into this folder."""
    advice = f"or unset {variable}: the service needs no such folder"
    folder = Path(value)
    if not value or not folder.is_dir():
        raise SettingsError(
            f"{variable}: the folder {_shown(value)} does not exist; create it, {advice}"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SettingsError(
            f"{variable}: the folder {_shown(value)} cannot be written; let user {os.getuid()} write it, {advice}"
        )


def _check_temporary_folder(find_temporary: Callable[[], str]) -> None:
    """Raise SettingsError if the workers have nowhere to keep their metrics."""
    try:
        find_temporary()
    except OSError as error:
        raise SettingsError(
            "no folder for temporary files can be written, in which several workers keep their "
            f"metrics; mount one at /tmp, name one in TMPDIR, or set {PREFIX}WORKERS=1"
        ) from error


def _shown(path: object) -> str:
    return repr(str(path)[:80])
