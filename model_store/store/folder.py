"""Models in a folder of a file system.

    <folder>/<name>/<version>/      one immutable version, see version.py
    <folder>/<name>/aliases.json    {"production": 3}; the only file that ever changes

The files of a new version are written to a hidden sibling of the versions, which is then renamed to
its number. Concurrent publishers race on rename(2): one wins, the other takes the next number. Only
writers of aliases take a lock.

A removed version leaves the file `.removed-<version>` with the SHA-256 of its manifest: its number is
never given to another version, and the same version can be copied back.
"""

import contextlib
import errno
import os
import shutil
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from model_store.durable_files import (
    make_folder_durably,
    replace_durably,
    sync_folder,
    write_durably,
)
from model_store.store.backend import ALIASES, MAX_ALIASES_BYTES, is_version
from model_store.store.checksums import CHECKSUMS, MANIFEST, MAX_MANIFEST_BYTES, record

_STAGING = ".publishing-"
_REMOVED = ".removed-"
_REMOVING = ".removing-"
_ABANDONED_AFTER_S = 24 * 3600
"""Age (s) from which a staging folder is assumed to belong to a killed process."""


class Folder:
    """Backend over a folder, which need not exist."""

    unavailable = None

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def names(self) -> set[str]:
        """Return the names of the subfolders."""
        if not self.path.is_dir():
            return set()
        return {entry.name for entry in self.path.iterdir() if entry.is_dir()}

    def versions(self, name: str) -> set[int]:
        """Return the subfolders of a name that are numbers."""
        return {int(entry) for entry in _entries(self.path / name) if is_version(entry)}

    def has(self, name: str, version: int) -> bool:
        """Return True if the version exists."""
        return self._version(name, version).exists()

    def read(
        self,
        name: str,
        version: int,
        filename: str,
        max_bytes: int,
        sha256: str | None = None,  # noqa: ARG002 - for backends that can use it
    ) -> bytes:
        """Read a file; raises OSError if it is a link, a device or a folder, or is too large."""
        return _read_regular(self._version(name, version) / filename, max_bytes)

    def find_link(self, name: str, version: int) -> str | None:
        """Return the name of a symbolic link in a version, its folder included, or None."""
        folder = self._version(name, version)
        if folder.is_symlink():
            return folder.name
        with os.scandir(folder) as entries:
            return min((entry.name for entry in entries if entry.is_symlink()), default=None)

    def create(
        self,
        name: str,
        version: int,
        files: Mapping[str, bytes],
        *,
        resume: bool = False,
    ) -> bool:
        """Write the files to a hidden folder, and rename it unless the number is taken.

        The number of a removed version is taken, unless `resume` brings the same version back.
        """
        mark = self._mark(name, version)
        if mark.exists() and not (resume and mark.read_text() == record(files[MANIFEST]).sha256):
            return False
        with _staging_folder(self.path / name) as staging:
            for filename, content in files.items():
                write_durably(staging / filename, content)
            sync_folder(staging)
            created = _rename_unless_taken(staging, self._version(name, version))
        if created:
            mark.unlink(missing_ok=True)
        return created

    def remove(self, name: str, version: int) -> None:
        """Mark the number as used, then rename the version to a hidden folder, then delete that."""
        target = self._version(name, version)
        try:
            manifest = _read_regular(target / MANIFEST, MAX_MANIFEST_BYTES)
        except OSError:
            manifest = b""  # a damaged version, which never comes back
        replace_durably(self._mark(name, version), record(manifest).sha256.encode())
        hidden = target.with_name(f"{_REMOVING}{uuid.uuid4().hex}")
        target.rename(hidden)
        sync_folder(hidden.parent)
        if hidden.is_symlink():
            hidden.unlink()
        else:
            shutil.rmtree(hidden)

    def seal(self, name: str, version: int, content: bytes) -> None:
        """Add SHA256SUMS to a version."""
        replace_durably(self._version(name, version) / CHECKSUMS, content)

    def read_aliases(self, name: str) -> bytes | None:
        """Return the content of aliases.json, or None."""
        try:
            path = self.path / name / ALIASES
            return _read_regular(path, MAX_ALIASES_BYTES, follow_link=True)
        except FileNotFoundError:
            return None

    def change_aliases(
        self, name: str, change: Callable[[bytes | None], bytes], timeout_s: float
    ) -> None:
        """Replace aliases.json while no other process does; readers see the old file or the new."""
        folder = self.path / name
        make_folder_durably(folder)
        try:
            with FileLock(folder / ".aliases.lock", timeout=timeout_s):
                replace_durably(folder / ALIASES, change(self.read_aliases(name)))
        except Timeout as error:
            raise TimeoutError(
                f"another process has kept {error.lock_file} locked for {timeout_s:.3g} s"
            ) from error

    def _version(self, name: str, version: int) -> Path:
        return self.path / name / str(version)

    def _mark(self, name: str, version: int) -> Path:
        return self.path / name / f"{_REMOVED}{version}"


def _read_regular(path: Path, max_bytes: int, *, follow_link: bool = False) -> bytes:
    """Read a file; raises OSError if it is a link, a device or a folder, or is too large.

    A link to a file is refused, unless `follow_link`, because its target can change after it was
    checked.
    """
    if path.is_symlink() and not follow_link:
        raise OSError(errno.ELOOP, "it is a symbolic link", str(path))
    follow = 0 if follow_link else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | follow | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if status.st_size > max_bytes:
            raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", str(path))
        return file.read(max_bytes + 1)


def _entries(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


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
    """Remove the hidden folders that commands left which were killed."""
    for folder in (*parent.glob(f"{_STAGING}*"), *parent.glob(f"{_REMOVING}*")):
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
