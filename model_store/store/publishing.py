"""Add a version to a model: its card, manifest and checksums, under the next free number.

The card contains the number, which is known only when the backend has accepted it. Publishers that
try the same number need no lock: the backend accepts one of them, and the others try the next one.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from model_store.spec import Arithmetic, Description, Manifest, ModelRef
from model_store.store.backend import Backend
from model_store.store.checksums import CHECKSUMS, MANIFEST, checksums, record
from model_store.store.version import CARD


def add_version(
    backend: Backend,
    name: str,
    description: Description,
    files: Mapping[str, bytes],
    card: Callable[[ModelRef], str],
    *,
    arithmetic: Arithmetic,
    after: int,
) -> Manifest:
    """Write the next version of a model and return its manifest.

    Args:
        backend: where the versions of the model are.
        name: the model.
        description: the spec of the model and how it was trained.
        files: name -> content, all but card and manifest.
        card: writes the card once the version is known.
        arithmetic: which arithmetic the network of the version computes in.
        after: the version is the first free number above this one.

    Raises:
        OSError, StoreUnavailableError: the files cannot be written; no version was added.
    """
    version = after
    while True:
        version += 1
        ref = ModelRef(name=name, version=version)
        complete = {**files, CARD: card(ref).encode()}
        manifest = Manifest(
            **dict(description),
            name=name,
            version=version,
            arithmetic=arithmetic,
            created_at=datetime.now(UTC).replace(microsecond=0),
            files={file: record(complete[file]) for file in sorted(complete)},
        )
        text = (manifest.model_dump_json(indent=1) + "\n").encode()
        complete |= {MANIFEST: text, CHECKSUMS: checksums(manifest.files, text)}
        if backend.create(name, version, complete):
            return manifest
