"""Folders that zserve reads and writes by itself: those of a checkout, or those of an installation.

A checkout, and the container, keep them beside the code. An installed zserve has no folder of its own
that it may write, so it keeps models, data sets and runs in the user's data folder, such as
`~/.local/share/zserve` on Linux and `~/Library/Application Support/zserve` on macOS.
"""

from pathlib import Path

INSTALLED = __name__.startswith("zserve.")
"""True if this is the package `zserve.model_store` of a wheel, not `model_store` of a checkout."""

_PARENT = Path(__file__).resolve().parents[1]

SHIPPED = _PARENT / "weights"
"""Folder of the shipped models, which is never written."""


def own_folder() -> Path:
    """Return the folder that has `models`, `data` and `runs`."""
    if INSTALLED:
        import platformdirs  # noqa: PLC0415 - only an installation needs it

        return platformdirs.user_data_path("zserve", appauthor=False)
    return _PARENT if (_PARENT / "pyproject.toml").is_file() else Path()
