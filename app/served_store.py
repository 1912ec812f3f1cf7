"""Open the store that the settings name, and find out if the service can start with it."""

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from app.errors import SettingsError
from app.settings import Settings
from model_store.errors import (
    InvalidAddressError,
    StoreAccessError,
    StoreCacheError,
    StoreError,
    StoreUnavailableError,
)
from model_store.spec import ModelRef
from model_store.store import DiskCache, Store, open_store


def open_served_store(settings: Settings) -> Store:
    """Return the store; an object store has a cache. Raises StoreCacheError, InvalidAddressError."""
    cache = None
    if isinstance(settings.store, str):
        cache = DiskCache(settings.store_cache_folder, settings.store_cache_bytes)
    store = open_store(settings.store, cache=cache)
    store.signed_by = settings.require_signature
    return store


def check_store(settings: Settings) -> None:
    """Raise SettingsError if the service cannot start with its object store.

    The check runs in a process of its own: the threads of an object store's client do not survive
    the fork of the workers. The shipped models are copied into the user's store, if this is the first
    start, before there are workers that would wait for each other.
    """
    if settings.store is None:
        open_store(None)
    if isinstance(settings.store, str):
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
            problem = pool.submit(_problem, settings).result()
        if problem is not None:
            raise SettingsError(problem)


def _problem(settings: Settings) -> str | None:
    """Return why the object store and its cache cannot be used, or None.

    A store that does not answer can be used if the cache has a copy of the default model.
    """
    logging.disable()  # in this process, whose result is the one line
    try:
        store = open_served_store(settings)
        store.connect()
    except StoreCacheError as error:
        return f"ZSERVE_STORE_CACHE: {error}"
    except InvalidAddressError as error:
        return f"ZSERVE_STORE: {error}"
    except StoreAccessError as error:
        return f"ZSERVE_STORE: {error}"
    except StoreUnavailableError as error:
        try:
            store.load(ModelRef.parse(settings.model))
        except StoreError:
            return f"ZSERVE_STORE: {error}; the cache has no copy of {settings.model} to start with"
    return None
