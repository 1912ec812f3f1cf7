"""Versioned weights: published once, never changed, found by name, version or alias. No torch."""

from model_store.store.locations import OWN, SHIPPED, open_store
from model_store.store.store import Store, StoredModel
from model_store.store.version import EXACT, PIXELS, WEIGHTS

__all__ = [
    "EXACT",
    "OWN",
    "PIXELS",
    "SHIPPED",
    "WEIGHTS",
    "Store",
    "StoredModel",
    "open_store",
]
