"""Versioned weights: published once, never changed, found by name, version or alias."""

from model_store.store.store import SHIPPED, Store, StoredModel
from model_store.store.version import WEIGHTS

__all__ = [
    "SHIPPED",
    "WEIGHTS",
    "Store",
    "StoredModel",
]
