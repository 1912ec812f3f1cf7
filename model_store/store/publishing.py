"""Add a version to a folder of a model: all of its files, or nothing.

The files are written to a hidden sibling of the versions, which is then renamed to the next free
number. Concurrent publishers race on rename(2): one wins, the other retries with the next number.
No lock is needed.
"""

import contextlib
import errno
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from model_store.durable_files import make_folder_durably, sync_folder, write_durably
from model_store.spec import Arithmetic, Description, Manifest, ModelRef
from model_store.store import version as version_files
from model_store.store.checksums import CHECKSUMS, MANIFEST, checksums, record

_STAGING = ".publishing-"
_ABANDONED_AFTER_S = 24 * 3600
"""Age (s) from which a staging folder is assumed to belong to a killed process."""


def add_version(
    folder: Path,
    description: Description,
    files: Mapping[str, bytes],
    card: Callable[[ModelRef], str],
    *,
    arithmetic: Arithmetic,
    after: int,
) -> Manifest:
    """Write a version of the model `folder.name` and return its manifest.

    Args:
        folder: holds the versions of one model; made if it does not exist.
        description: the spec of the model and how it was trained.
        files: name -> content, all but card and manifest.
        card: writes the card once the version is known.
        arithmetic: which arithmetic the network of the version computes in.
        after: the version is the first free number above this one.

    Raises:
        OSError: the files cannot be written; the folder is unchanged.
    """
    with _staging_folder(folder) as staging:
        for filename, content in files.items():
            write_durably(staging / filename, content)
        version = after
        while True:
            version += 1
            ref = ModelRef(name=folder.name, version=version)
            manifest = _write_card_and_manifest(
                staging, ref, description, files, card, arithmetic=arithmetic
            )
            if _rename_unless_taken(staging, folder / str(version)):
                return manifest


def _write_card_and_manifest(
    staging: Path,
    ref: ModelRef,
    description: Description,
    files: Mapping[str, bytes],
    card: Callable[[ModelRef], str],
    *,
    arithmetic: Arithmetic,
) -> Manifest:
    complete = {**files, version_files.CARD: card(ref).encode()}
    manifest = Manifest(
        **dict(description),
        name=ref.name,
        version=ref.version,
        arithmetic=arithmetic,
        created_at=datetime.now(UTC).replace(microsecond=0),
        files={file: record(complete[file]) for file in sorted(complete)},
    )
    text = (manifest.model_dump_json(indent=2) + "\n").encode()
    write_durably(staging / version_files.CARD, complete[version_files.CARD])
    write_durably(staging / MANIFEST, text)
    write_durably(staging / CHECKSUMS, checksums(manifest.files, text))
    sync_folder(staging)
    return manifest


@contextlib.contextmanager
def _staging_folder(parent: Path) -> Iterator[Path]:
    """Make an empty sibling of the versions, and remove it afterwards unless it was renamed."""
    staging = parent / f"{_STAGING}{uuid.uuid4().hex}"
    try:
        make_folder_durably(parent)
        staging.mkdir(parents=True)
        _sweep_abandoned(parent)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with contextlib.suppress(OSError):
            parent.rmdir()  # succeeds only if a first publish failed and left the folder empty


def _sweep_abandoned(parent: Path) -> None:
    """Remove the staging folders of publishers that were killed."""
    for folder in parent.glob(f"{_STAGING}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(folder)


def _rename_unless_taken(staging: Path, target: Path) -> bool:
    """Rename durably; return False if another publisher has taken the name."""
    try:
        staging.rename(target)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
            return False
        raise
    try:
        sync_folder(target.parent)
        sync_folder(target.parent.parent)  # its first version may be that of a parallel publisher
    except BaseException:
        target.rename(staging)
        raise
    return True
