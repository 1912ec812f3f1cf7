"""Check, before hours of training, that a version can be published afterwards."""

import os

from model_store.errors import PublishError
from model_store.spec import ModelRef
from model_store.store import Store
from training.errors import SettingError


def check_destination(store: Store, name: str) -> None:
    """Raise SettingError for an invalid model name, PublishError if the store is not writable."""
    if not _is_plain_name(name):
        raise SettingError(
            f"--name {name[:80]!r} is not a model name; use a-z, 0-9, '.', '_' and '-', "
            "a letter or digit first, at most 63"
        )
    folder = store.root.absolute() / name
    while not folder.exists():
        folder = folder.parent
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        raise PublishError(
            f"cannot publish {name} in {store.root}: {folder} is not a writable folder; "
            "choose another --store"
        )


def _is_plain_name(name: str) -> bool:
    try:
        return ModelRef.parse(name).name == name
    except ValueError:
        return False
