"""Copy the shipped models into the user's store, once each.

An installed zserve serves from a folder of the user. Each shipped version is copied there when it is
first seen, so that it stays there when a later release ships another one. What the user has is never
changed: a number that is taken is left alone, aliases stay as they are, and a version that the user
removed does not come back. `.seeded.json` in the folder lists what was copied.
"""

import json
import logging
from pathlib import Path

from filelock import FileLock, Timeout

from model_store.durable_files import make_folder_durably, replace_durably
from model_store.errors import StoreError
from model_store.spec import ModelRef
from model_store.store.store import Store

log = logging.getLogger("zserve")

RECORD = ".seeded.json"
LOCK_TIMEOUT_S = 120.0
"""Longest time (s) that a process waits for another one that copies."""


def seeded_store(own: Path, shipped: Path) -> Store:
    """Return the store in the user's folder, with all shipped versions in it.

    If they cannot be copied, for example because the disk is full or read-only, the two folders are
    read as one store, and a warning is logged.
    """
    store, source = Store(own), Store(shipped)
    offered = [
        ModelRef(name=name, version=v) for name in source.names() for v in source.versions(name)
    ]
    try:
        if not _missing(own, offered):
            return store
        make_folder_durably(own)
        with FileLock(own / ".seeding.lock", timeout=LOCK_TIMEOUT_S):
            _copy(source, _missing(own, offered), store)
            seen = sorted({*_read(own), *map(str, offered)})
            replace_durably(own / RECORD, (json.dumps(seen, indent=1) + "\n").encode())
    except (OSError, StoreError, Timeout) as error:
        log.warning("the shipped models are used from %s: %s", shipped, error)
        return Store(own, shipped=shipped)
    return store


def _copy(source: Store, refs: list[ModelRef], target: Store) -> None:
    """Copy versions under their numbers, and the aliases of models that are new to the target."""
    new = {ref.name for ref in refs} - set(target.names())
    for ref in refs:
        if not target.has(ref):
            target.add(ref, source.files(ref))
    for name in sorted(new):
        for alias, version in source.aliases(name).items():
            if target.aliases(name).get(alias) != version:
                target.set_alias(name, alias, version)


def _missing(own: Path, offered: list[ModelRef]) -> list[ModelRef]:
    """Return the shipped versions that were never copied."""
    seen = _read(own)
    return [ref for ref in offered if str(ref) not in seen]


def _read(own: Path) -> set[str]:
    try:
        document = json.loads((own / RECORD).read_text())
    except FileNotFoundError:
        return set()
    except ValueError:
        return set()  # all numbers are compared again, and none that is taken is touched
    return set(map(str, document)) if isinstance(document, list) else set()
