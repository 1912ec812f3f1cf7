"""Versioned weights: published once, never changed, found by name, version or alias.

    store         names, versions and aliases, whatever keeps them
    version       the files of one version: read, checked, parsed
    publishing    add a version under the next free number
    backend       the operations that a store needs of the place where it keeps models
    folder        models in a folder
    objects       models in an object store
    hub           models in a repository of the Hugging Face hub, read only
    hub_push      push versions to such a repository; `hub_card` writes its README
    cached        an object store or the hub, with copies on the disk
    disk_cache    the folder of these copies
    locations     the folders and addresses of stores; opens them
    seeding       copy the shipped models into the user's folder
    transfer      copy versions and aliases between stores
    tidying       remove versions, rename models
    checksums     SHA256SUMS
    signing       signatures by a publisher's key
    tensors       safetensors files, numpy arrays and tensors of other libraries
    options       the option `--store`
    cli           the command line; *_cli, cli_options and listing have its parts

No module here imports torch.
"""

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
