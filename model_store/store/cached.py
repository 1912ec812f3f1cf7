"""An object store with a cache on the disk of the machine, for a service that must go on without it.

Files whose checksum is known are fetched once. Manifests, aliases and the list of versions are
documents: they are used as they are for a moment, and then compared by a conditional request, which
one process of the machine makes for all. If the store does not answer, the copies are used, however
old they are.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from errno import EFBIG, ENOENT
from typing import TypeVar

from model_store.errors import StoreUnavailableError
from model_store.store.backend import ALIASES, MAX_ALIASES_BYTES
from model_store.store.checksums import MANIFEST, MAX_MANIFEST_BYTES, record
from model_store.store.disk_cache import DiskCache, Document
from model_store.store.hub import Hub
from model_store.store.objects import NotModified, Objects

log = logging.getLogger("zserve")

ALIASES_S = 1.0
"""Seconds between two questions for the aliases of a model."""
VERSION_S = 60.0
"""Seconds between two questions for the manifest of a version, which should never change."""
LISTING_S = 60.0
"""Seconds between two lists of all versions, unless a version is missing in the last one."""
MISSING_S = 1.0
"""Seconds between two lists if a version is missing."""
AWAY_S = 2.0
"""Seconds until a store that did not answer is asked again, as long as there are copies."""

T = TypeVar("T")


class Cached:
    """Backend over an object store or a repository of the hub, and a cache."""

    def __init__(self, objects: Objects | Hub, cache: DiskCache) -> None:
        self._objects = objects
        self._cache = cache
        self._away: str | None = None
        self._ask_again_at = 0.0
        self._state = threading.Lock()

    def __str__(self) -> str:
        return str(self._objects)

    @property
    def unavailable(self) -> str | None:
        """Return why the store did not answer the last request, or None if it did."""
        return self._away

    # --- reading ---

    def listing(self) -> dict[str, set[int]]:
        """Ask the store itself for its versions; raises StoreUnavailableError."""
        return self._ask(self._objects.listing)

    def names(self) -> set[str]:
        """Return the names of the last list."""
        return set(self._listing(LISTING_S))

    def versions(self, name: str) -> set[int]:
        """Return the versions of a name in the last list, which is made again if it has none."""
        return self._listing(LISTING_S).get(name) or self._listing(MISSING_S).get(name, set())

    def has(self, name: str, version: int) -> bool:
        """Return True if the version is in the last list, or else in a new one."""
        return version in self.versions(name) or version in self._listing(MISSING_S).get(name, ())

    def read(
        self, name: str, version: int, filename: str, max_bytes: int, sha256: str | None = None
    ) -> bytes:
        """Return a file, by its checksum if that is known."""
        if sha256 is not None:
            return self._read_file(name, version, filename, max_bytes, sha256)
        content = self._object(f"{name}/{version}/{filename}", VERSION_S)
        if content is None:
            raise FileNotFoundError(ENOENT, "there is no such object", filename)
        if len(content) > max_bytes:
            raise OSError(EFBIG, f"it has more than {max_bytes:,} bytes", filename)
        return content

    def find_link(self, name: str, version: int) -> None:
        """Return None: an object is no link."""

    def read_aliases(self, name: str) -> bytes | None:
        """Return aliases.json."""
        return self._object(f"{name}/{ALIASES}", ALIASES_S, MAX_ALIASES_BYTES)

    # --- writing ---

    def create(
        self, name: str, version: int, files: Mapping[str, bytes], *, resume: bool = False
    ) -> bool:
        """Add a version to the store."""
        created = self._ask(lambda: self._objects.create(name, version, files, resume=resume))
        self._listing(0.0)
        return created

    def remove(self, name: str, version: int) -> None:
        """Remove a version from the store; copies of its files are deleted as they age."""
        self._ask(lambda: self._objects.remove(name, version))
        self._listing(0.0)
        self._object(f"{name}/{version}/{MANIFEST}", 0.0)

    def seal(self, name: str, version: int, content: bytes) -> None:
        """Add SHA256SUMS to a version in the store."""
        self._ask(lambda: self._objects.seal(name, version, content))

    def change_aliases(
        self, name: str, change: Callable[[bytes | None], bytes], timeout_s: float
    ) -> None:
        """Replace aliases.json in the store, and read the copy again."""
        self._ask(lambda: self._objects.change_aliases(name, change, timeout_s))
        self._object(f"{name}/{ALIASES}", 0.0, MAX_ALIASES_BYTES)

    # --- inside ---

    def _read_file(
        self, name: str, version: int, filename: str, max_bytes: int, sha256: str
    ) -> bytes:
        content = self._cache.file(sha256)
        if content is not None:
            return content
        with self._cache.lock(sha256, wait=True):
            content = self._cache.file(sha256)  # another process may have fetched it meanwhile
            if content is None:
                content = self._ask(
                    lambda: self._objects.read(name, version, filename, max_bytes, sha256)
                )
                if record(content).sha256 == sha256:
                    self._cache.keep_file(sha256, content)
        return content

    def _listing(self, max_age_s: float) -> Mapping[str, set[int]]:
        def ask(_: Document | None) -> Document:
            listing = {name: sorted(each) for name, each in self._objects.listing().items()}
            return Document(json.dumps(listing, sort_keys=True).encode(), None)

        content = self._document("listing", max_age_s, ask)
        return {name: set(each) for name, each in json.loads(content or b"{}").items()}

    def _object(
        self, path: str, max_age_s: float, max_bytes: int = MAX_MANIFEST_BYTES
    ) -> bytes | None:
        """Return a small object, or None if there is none."""

        def ask(copy: Document | None) -> Document:
            fetched = self._objects.fetch(
                path, etag=None if copy is None else copy.etag, max_bytes=max_bytes
            )
            return Document(None, None) if fetched is None else Document(*fetched[:2])

        return self._document(path, max_age_s, ask)

    def _document(
        self, path: str, max_age_s: float, ask: Callable[[Document | None], Document]
    ) -> bytes | None:
        """Return a document that is younger than `max_age_s`, if the store can be asked for it.

        Of several processes and threads, one asks; the others use the copy meanwhile.
        """
        key = f"{self} {path}"
        copy = self._cache.document(key)
        if copy is not None and (copy.age_s < max_age_s or self._is_away()):
            return copy.content
        wait = copy is None or not max_age_s
        with self._cache.lock(key, wait=wait) as locked:
            copy = self._cache.document(key)
            if copy is not None and (copy.age_s < max_age_s or not (locked or wait)):
                return copy.content
            try:
                latest = self._ask(lambda: ask(copy))
            except NotModified:
                self._cache.confirm_document(key)
                return None if copy is None else copy.content
            except StoreUnavailableError:
                if copy is None:
                    raise
                return copy.content
            self._cache.keep_document(key, latest)
            return latest.content

    def _ask(self, call: Callable[[], T]) -> T:
        """Call the store, and note whether it answers."""
        try:
            answer = call()
        except StoreUnavailableError as error:
            if self._away is None:
                log.error("going on with copies: %s", error)  # noqa: TRY400 - expected
            with self._state:
                self._away, self._ask_again_at = str(error), time.monotonic() + AWAY_S
            raise
        except (NotModified, OSError):
            self._note_answer()
            raise
        self._note_answer()
        return answer

    def _note_answer(self) -> None:
        if self._away is not None:
            log.info("%s answers again", self)
            self._away = None

    def _is_away(self) -> bool:
        """Return True if the store did not answer a moment ago, or is being asked right now."""
        with self._state:
            now = time.monotonic()
            if self._away is None or now >= self._ask_again_at:
                self._ask_again_at = now + AWAY_S  # for this caller; the others use their copies
                return False
            return True
