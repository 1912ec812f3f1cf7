"""A folder of checked copies that the processes of a machine share.

    files/<sha256>        content with this checksum
    documents/<sha256>    a JSON line and content; the name is the checksum of the document's key
    locks/<0-f>           locks, so that one process fetches what several need

An entry is written to a temporary file and renamed, so that a process that is killed leaves a whole
entry or none. Every entry is checked when it is read, and deleted if it is damaged. If the entries
together are larger than the bound, those that were used longest ago are deleted.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from model_store.errors import StoreCacheError

log = logging.getLogger("zserve")

_PART = ".part"
_ABANDONED_AFTER_S = 3600
"""Age (s) from which a temporary file is assumed to belong to a killed process."""
_LOCK_TIMEOUT_S = 60.0
"""Longest time (s) to wait for another process that fetches the same; then both do."""


@dataclass(frozen=True)
class Document:
    """A copy of an object that may change, as the store last answered with it.

    Attributes:
        content: the answer, or None if there was nothing.
        etag: identifies the content in a conditional request.
        age_s: seconds since the store confirmed the content.
    """

    content: bytes | None
    etag: str | None
    age_s: float = 0.0


class DiskCache:
    """Copies in a folder of at most `max_bytes`. Raises StoreCacheError if it cannot be written."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._files = folder / "files"
        self._documents = folder / "documents"
        self._locks = folder / "locks"
        self._max_bytes = max_bytes
        self._full = False
        try:
            for each in (self._files, self._documents, self._locks):
                each.mkdir(parents=True, exist_ok=True)
            self._write(folder / "writable", b"")
        except OSError as error:
            raise StoreCacheError(
                f"cannot write the cache {folder}: {error.strerror or error}; "
                "name a folder that can be written"
            ) from error

    # --- files ---

    def file(self, sha256: str) -> bytes | None:
        """Return the content with this checksum, or None."""
        path = self._files / sha256
        content = _read(path)
        if content is None:
            return None
        if hashlib.sha256(content).hexdigest() != sha256:
            log.warning("the cache had a damaged copy of %.12s; it is fetched again", sha256)
            path.unlink(missing_ok=True)
            return None
        _touch(path)
        return content

    def keep_file(self, sha256: str, content: bytes) -> None:
        """Keep content whose checksum the caller has compared."""
        self._keep(self._files / sha256, content)

    # --- documents ---

    def document(self, key: str) -> Document | None:
        """Return the document of a key, or None."""
        path = self._document(key)
        raw = _read(path)
        if raw is None:
            return None
        header, _, content = raw.partition(b"\n")
        fields = _parse_header(header)
        if hashlib.sha256(content).hexdigest() != fields.get("sha256"):
            log.warning("the cache had a damaged copy of %s; it is fetched again", key)
            path.unlink(missing_ok=True)
            return None
        exists = fields.get("exists", True)
        return Document(content if exists else None, fields.get("etag"), _age_s(path))

    def keep_document(self, key: str, document: Document) -> None:
        """Keep a document that the store has just answered with."""
        content = document.content or b""
        header = {
            "key": key,
            "etag": document.etag,
            "exists": document.content is not None,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        self._keep(self._document(key), json.dumps(header).encode() + b"\n" + content)

    def confirm_document(self, key: str) -> None:
        """Note that the store has just confirmed a document."""
        _touch(self._document(key))

    # --- locks ---

    @contextlib.contextmanager
    def lock(self, key: str, *, wait: bool) -> Iterator[bool]:
        """Hold the lock of a key while the block runs; yields True, or False without the lock.

        Another process or thread may hold the lock. With `wait`, False is yielded only after a minute, so
        that a process that hangs cannot stop all others; without it, at once.
        """
        digit = hashlib.sha256(key.encode()).hexdigest()[0]
        lock = FileLock(self._locks / digit, timeout=_LOCK_TIMEOUT_S if wait else 0)
        try:
            lock.acquire()
        except (Timeout, OSError):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    # --- inside ---

    def _document(self, key: str) -> Path:
        return self._documents / hashlib.sha256(key.encode()).hexdigest()

    def _keep(self, path: Path, content: bytes) -> None:
        """Write an entry; a disk that is full costs the copy and nothing else."""
        try:
            self._write(path, content)
            self._make_room(keep=path)
        except OSError as error:
            if not self._full:
                log.warning("the cache of the store cannot be written: %s", error)
            self._full = True
        else:
            self._full = False

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        part = path.with_name(f"{uuid.uuid4().hex}{_PART}")
        try:
            part.write_bytes(content)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _make_room(self, keep: Path) -> None:
        """Delete the entries that were used longest ago until the rest fits, and abandoned parts."""
        entries = []
        for folder in (self._files, self._documents):
            with os.scandir(folder) as scan:
                for entry in scan:
                    with contextlib.suppress(FileNotFoundError):  # another process deleted it
                        status = entry.stat()
                        entries.append((status.st_mtime, status.st_size, Path(entry.path)))
        total = sum(size for _, size, _ in entries)
        for used_at, size, path in sorted(entries):
            abandoned = path.suffix == _PART and time.time() - used_at > _ABANDONED_AFTER_S
            if abandoned or (total > self._max_bytes and path != keep and path.suffix != _PART):
                path.unlink(missing_ok=True)
                total -= size


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _parse_header(header: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(header)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _age_s(path: Path) -> float:
    """Return the age of a file, or infinity if the clock was set back or the file is gone."""
    try:
        age_s = time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")
    return age_s if age_s >= 0 else float("inf")


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(path)
