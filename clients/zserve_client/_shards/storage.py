"""Where shards are kept: a local folder, or an object store behind the library obstore."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from zserve_client.errors import InputError, MissingExtraError, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az")
PARTS_FOLDER = ".parts"
ABANDONED_AFTER_S = 3600
UPLOAD_RETRIES = 5
LONGEST_RETRY = timedelta(minutes=2)


class Storage(Protocol):
    """A place for files, each of which appears whole or not at all."""

    def is_empty(self) -> bool:
        """Return True if no file is there."""

    def sizes(self) -> Mapping[str, int]:
        """Return the size of each file in bytes, by its name."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist."""

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file, unless it exists; returns False if it does."""

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""

    def keep(self, name: str, file: Path) -> None:
        """Write the content of a local file, which may be moved."""

    def scratch(self) -> Path | None:
        """Return the folder for temporary files; None stands for that of the system."""

    def clean(self) -> None:
        """Delete temporary files that a killed job left."""


def open_storage(place: str) -> Storage:
    """Return the storage of a folder, or of an address such as s3://bucket/prefix."""
    scheme, separator, _ = place.partition("://")
    if not separator:
        return Folder(Path(place))
    if scheme not in SCHEMES:
        schemes = ", ".join(f"{name}://" for name in SCHEMES)
        raise InputError(f"{place} begins with none of {schemes}; for a folder, give its path")
    return ObjectStorage(place)


class Folder:
    """A local folder; files are written into its subfolder .parts, and then moved to their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def is_empty(self) -> bool:
        """Return True if the folder does not exist, or has temporary files only."""
        if not self._folder.exists():
            return True
        return all(path.name == PARTS_FOLDER for path in self._folder.iterdir())

    def sizes(self) -> Mapping[str, int]:
        """Return the size of each file in bytes, by its path in the folder."""
        return {
            path.relative_to(self._folder).as_posix(): path.stat().st_size
            for pattern in ("*", "records/*")
            for path in self._folder.glob(pattern)
            if path.is_file()
        }

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist."""
        try:
            return (self._folder / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes | None:
        """Return the content of a file, or None if it does not exist."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> bool:
        """Write a file, unless it exists; returns False if it does."""
        with self._part(name) as part:
            part.write_bytes(content)
            try:
                (self._folder / name).hardlink_to(part)
            except FileExistsError:
                return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Write a small file."""
        with self._part(name) as part:
            part.write_bytes(content)
            self.keep(name, part)

    def keep(self, name: str, file: Path) -> None:
        """Move a file of the folder for temporary files to its place, after it is on the disk."""
        with file.open("rb") as content:
            os.fsync(content.fileno())
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file.replace(path)

    def scratch(self) -> Path:
        """Return a folder of the same file system, so that a file can be moved to its place."""
        folder = self._folder / PARTS_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def clean(self) -> None:
        """Delete temporary folders in which nothing was written for an hour."""
        folder = self._folder / PARTS_FOLDER
        if not folder.exists():
            return
        for part in folder.iterdir():
            if time.time() - part.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):  # another command works in it
            folder.rmdir()

    @contextmanager
    def _part(self, name: str) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self.scratch()) as folder:
            yield Path(folder) / Path(name).name


class ObjectStorage:
    """A prefix in an object store. Its settings are the usual variables, such as AWS_REGION."""

    def __init__(self, address: str) -> None:
        try:
            import obstore  # noqa: PLC0415 - the client needs httpx alone
            import obstore.store  # noqa: PLC0415 - the client needs httpx alone
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{address} needs obstore, which is not installed: "
                "pip install 'zserve-client[object-store]'"
            ) from error
        self._address = address
        self._library = obstore
        with self._explained():
            self._store: ObjectStore = obstore.store.from_url(
                address,
                client_options={"allow_http": True},  # if AWS_ENDPOINT_URL says so
                retry_config={"max_retries": UPLOAD_RETRIES, "retry_timeout": LONGEST_RETRY},
            )

    def __str__(self) -> str:
        return self._address

    def is_empty(self) -> bool:
        """Return True if the prefix has no object."""
        with self._explained():
            return not any(self._library.list(self._store, chunk_size=1))

    def sizes(self) -> Mapping[str, int]:
        """Return the size of each object in bytes, by its name below the prefix."""
        with self._explained():
            return {
                entry["path"]: entry["size"]
                for entries in self._library.list(self._store)
                for entry in entries
            }

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or None if it does not exist."""
        with self._explained():
            try:
                return self._library.head(self._store, name)["size"]
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes | None:
        """Return the content of an object, or None if it does not exist."""
        with self._explained():
            try:
                return bytes(self._library.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

    def create(self, name: str, content: bytes) -> bool:
        """Write an object, unless it exists; returns False if it does."""
        with self._explained():
            try:
                self._library.put(self._store, name, content, mode="create")
            except self._library.exceptions.AlreadyExistsError:
                return False
        return True

    def write(self, name: str, content: bytes) -> None:
        """Write a small object."""
        with self._explained():
            self._library.put(self._store, name, content)

    def keep(self, name: str, file: Path) -> None:
        """Upload a file, in parts if it is large; the object appears when all parts are there."""
        with self._explained():
            self._library.put(self._store, name, file)

    def scratch(self) -> None:
        """Return None: temporary files are in the system's folder for them."""

    def clean(self) -> None:
        """Do nothing: parts of an upload are deleted by the rules of the bucket."""

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn exceptions of obstore into StorageError with one line."""
        try:
            yield
        except (self._library.exceptions.BaseError, FileNotFoundError, ValueError) as error:
            raise StorageError(f"{self._address}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the first line of a message; obstore adds the fields of its cause in further lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
