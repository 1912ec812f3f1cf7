"""The folders of the shipped models and of the user's own models, and stores by their address."""

from pathlib import Path

from model_store.store.cached import Cached
from model_store.store.disk_cache import DiskCache
from model_store.store.objects import BRIEF, LONG, is_url, open_objects
from model_store.store.store import Store

_ROOT = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (_ROOT / "pyproject.toml").is_file()

SHIPPED = _ROOT / "weights"
"""Folder of the shipped models, which is never written."""

OWN = (_ROOT if _IN_CHECKOUT else Path()) / "models"
"""Models that people train: in the checkout, or in the current folder if zserve is installed."""


def open_store(location: str | Path | None = None, *, cache: DiskCache | None = None) -> Store:
    """Return the store in a folder or at an address, or OWN and SHIPPED read as one store if None.

    With a cache, an object store is asked briefly, and its copies are used if it does not answer.
    Raises InvalidAddressError if an address names no object store.
    """
    if location is None:
        return Store(OWN, shipped=SHIPPED)
    if isinstance(location, Path) or not is_url(location):
        return Store(Path(location))
    if cache is None:
        return Store(open_objects(location, LONG))
    return Store(Cached(open_objects(location, BRIEF), cache))
