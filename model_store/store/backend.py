"""The operations that a store needs of the place where it keeps models.

`folder` keeps them on a disk, `objects` in an object store, and `hub` reads them from the Hugging Face
hub; `cached` keeps copies of the latter two. Rules for names and numbers, checks and parsing are not
part of a backend: `store` and `version` have them, for all backends.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

ALIASES = "aliases.json"
MAX_ALIASES_BYTES = 256 * 1024
"""Largest aliases.json that is read; an alias takes up to 80 bytes."""


class Backend(Protocol):
    """Versions and aliases in one place; `str` of it tells people where that is.

    Methods raise OSError for what is wrong with a file or a disk, and StoreUnavailableError if an
    object store does not answer.
    """

    @property
    def unavailable(self) -> str | None:
        """Return why the place does not answer at the moment, if copies are used instead."""

    def names(self) -> set[str]:
        """Return the names under which there may be versions."""

    def versions(self, name: str) -> set[int]:
        """Return the complete versions of a name, which need not exist."""

    def has(self, name: str, version: int) -> bool:
        """Return True if the version is one of `versions`."""

    def read(
        self, name: str, version: int, filename: str, max_bytes: int, sha256: str | None = None
    ) -> bytes:
        """Return the content of a file of a version.

        Raises FileNotFoundError if there is none, and OSError if it is no regular file or larger
        than `max_bytes`. The caller compares the content with the checksum that it expects;
        `sha256` is this checksum if the caller knows it, by which a cache may find the content.
        """

    def find_link(self, name: str, version: int) -> str | None:
        """Return the name of a symbolic link in a version, its folder included, or None."""

    def create(
        self, name: str, version: int, files: Mapping[str, bytes], *, resume: bool = False
    ) -> bool:
        """Add a version: all of its files, or nothing. Return False if its number is taken.

        With `resume`, files that an interrupted call has left there are used if they are the same, and
        a version that was removed may come back. Without it, the number of a removed version is taken.
        """

    def remove(self, name: str, version: int) -> None:
        """Delete a version: readers see all of it, or nothing. Its number is not used again."""

    def seal(self, name: str, version: int, content: bytes) -> None:
        """Add SHA256SUMS to a version that has none."""

    def read_aliases(self, name: str) -> bytes | None:
        """Return the content of aliases.json, or None if there is none."""

    def change_aliases(
        self, name: str, change: Callable[[bytes | None], bytes], timeout_s: float
    ) -> None:
        """Replace aliases.json by `change(content)`; changes by other processes are all kept.

        Raises TimeoutError, a sentence for people, if other processes leave no room for the change.
        """


@dataclass(frozen=True)
class VersionFiles:
    """The files of one version; `str` of it is `name@version`."""

    backend: Backend
    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    def read(self, filename: str, max_bytes: int, sha256: str | None = None) -> bytes:
        """Return the content of a file; see `Backend.read`."""
        return self.backend.read(self.name, self.version, filename, max_bytes, sha256)

    def find_link(self) -> str | None:
        """Return the name of a symbolic link, or None."""
        return self.backend.find_link(self.name, self.version)


def is_version(entry: str) -> bool:
    """Return True if the name of a folder is the number of a version."""
    return entry.isascii() and entry.isdigit() and not entry.startswith("0")
