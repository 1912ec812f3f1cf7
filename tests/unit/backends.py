"""Places for stores, whose files a test can read and change behind the back of the store."""

import uuid
from pathlib import Path
from typing import Protocol

import obstore
from obstore.store import AzureStore, MemoryStore, S3Store

from model_store.store import Store, open_store
from model_store.store.objects import open_objects
from tests.object_store.server import SCHEMES, running_server


class Place(Protocol):
    """A folder or a part of an object store; paths are relative to it."""

    location: str

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, content: bytes) -> None: ...

    def delete(self, path: str) -> None: ...

    def paths(self) -> list[str]: ...


class FolderPlace:
    def __init__(self, folder: Path) -> None:
        self.location = str(folder)
        self._folder = folder

    def read(self, path: str) -> bytes:
        return (self._folder / path).read_bytes()

    def write(self, path: str, content: bytes) -> None:
        (self._folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self._folder / path).write_bytes(content)

    def delete(self, path: str) -> None:
        (self._folder / path).unlink()

    def paths(self) -> list[str]:
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self._folder)) for path in files)


class ObjectPlace:
    def __init__(self, location: str) -> None:
        self.location = location
        self._raw: AzureStore | MemoryStore | S3Store = open_objects(location)._store  # type: ignore[assignment]

    def read(self, path: str) -> bytes:
        return bytes(obstore.get(self._raw, path).bytes())

    def write(self, path: str, content: bytes) -> None:
        obstore.put(self._raw, path, content)

    def delete(self, path: str) -> None:
        obstore.delete(self._raw, path)

    def paths(self) -> list[str]:
        return sorted(entry["path"] for entry in obstore.list(self._raw).collect())


KINDS = ["folder", "memory", *SCHEMES]
"""Parameters of a fixture that makes an empty place of each kind."""


def new_place(kind: str, folder: Path) -> Place:
    """Return an empty place of a kind."""
    match kind:
        case "folder":
            return FolderPlace(folder / "store")
        case "memory":
            return ObjectPlace(f"memory://{uuid.uuid4().hex}")
        case _:
            return ObjectPlace(running_server(kind).new_address())


def in_place(place: Place) -> Store:
    return open_store(place.location)


def tree(place: Place) -> dict[str, bytes]:
    """Return every file of a place, with its content."""
    return {path: place.read(path) for path in place.paths()}
