"""The folders of the shipped models and of the user's own models, and stores by their address."""

from pathlib import Path

from model_store import places
from model_store.store.cached import Cached
from model_store.store.disk_cache import DiskCache
from model_store.store.hub import is_hub, open_hub, parse_hub
from model_store.store.objects import BRIEF, LONG, check_url, is_url, open_objects
from model_store.store.seeding import seeded_store
from model_store.store.store import Store

SHIPPED = places.SHIPPED
"""Folder of the shipped models, which is never written."""

OWN = places.own_folder() / "models"
"""Models that people train: in the checkout, in the user's data folder if zserve is installed, and
otherwise, as in the container, in the current folder."""


def check_address(url: str) -> None:
    """Raise InvalidAddressError if a URL names neither an object store nor a repository of the hub."""
    if is_hub(url):
        parse_hub(url)
    else:
        check_url(url)


def open_store(location: str | Path | None = None, *, cache: DiskCache | None = None) -> Store:
    """Return the store in a folder or at an address.

    None means OWN. In a checkout it is read as one store with SHIPPED; an installed zserve copies the
    shipped versions into it. With a cache, requests to an object store or the hub are given up early,
    and copies are used if it does not answer. Raises InvalidAddressError if an address names neither
    an object store nor a repository of the hub, or if the package for it is missing.
    """
    if location is None and places.INSTALLED:
        return seeded_store(OWN, SHIPPED)
    if location is None:
        return Store(OWN, shipped=SHIPPED)
    if isinstance(location, Path) or not is_url(location):
        return Store(Path(location))
    if is_hub(location):
        hub = open_hub(location)
        return Store(hub if cache is None else Cached(hub, cache))
    if cache is None:
        return Store(open_objects(location, LONG))
    return Store(Cached(open_objects(location, BRIEF), cache))
