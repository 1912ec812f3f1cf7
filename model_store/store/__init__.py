"""Versioned weights: published once, never changed, found by name, version or alias. No torch."""

from model_store.store.disk_cache import DiskCache
from model_store.store.locations import OWN, SHIPPED, check_address, open_store
from model_store.store.objects import is_url
from model_store.store.store import Store, StoredModel
from model_store.store.version import ENCODED_IMAGES, EXACT, PIXELS, SNAPSHOTS, TYPICALITY, WEIGHTS

__all__ = [
    "ENCODED_IMAGES",
    "EXACT",
    "OWN",
    "PIXELS",
    "SHIPPED",
    "SNAPSHOTS",
    "TYPICALITY",
    "WEIGHTS",
    "DiskCache",
    "Store",
    "StoredModel",
    "check_address",
    "is_url",
    "open_store",
]
