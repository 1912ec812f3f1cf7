"""The folders of the shipped models and of the user's own models."""

from pathlib import Path

from model_store.store.store import Store

_ROOT = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (_ROOT / "pyproject.toml").is_file()

SHIPPED = _ROOT / "weights"
"""Folder of the shipped models, which is never written."""

OWN = (_ROOT if _IN_CHECKOUT else Path()) / "models"
"""Models that people train: in the checkout, or in the current folder if zserve is installed."""


def open_store(folder: Path | None = None) -> Store:
    """Return the store in a folder, or OWN and SHIPPED read as one store if None."""
    return Store(OWN, shipped=SHIPPED) if folder is None else Store(folder)
