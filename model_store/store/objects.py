"""Models in an object store: S3 and what speaks its protocol, Google Cloud, Azure, or memory.

The objects of a version have the names of its files: `<prefix>/<name>/<version>/<file>`. An object
store can neither rename nor lock, but it can create an object only if there is none, and replace one
only if it is still the one that was read:

- Every file of a version is created in this way, and the manifest is created last. A version exists
  if it has a manifest that is not empty, so one request makes it visible.
- A publisher first creates `.publishing`, with content of its own. If there is one, another publisher
  has taken the number. A publisher that is killed leaves files without a manifest, which nobody
  reads; its number is not used again.
- A version is removed by replacing its manifest with an empty one. `.removed` keeps the SHA-256 of the
  manifest, so that the same version can be copied back; its number is not used for another one.
- Aliases are replaced by compare-and-swap on the ETag.

A request that fails is made again. If the first one had arrived nevertheless, the object exists with
the same content, which counts as success.
"""

import contextlib
import errno
import functools
import importlib.util
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from model_store.errors import InvalidAddressError, StoreAccessError, StoreUnavailableError
from model_store.store.backend import ALIASES, MAX_ALIASES_BYTES, is_version
from model_store.store.checksums import CHECKSUMS, MANIFEST, record

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CLAIM = ".publishing"
_REMOVED = ".removed"
_ABANDONED_AFTER = timedelta(days=1)
"""Age from which the files of an incomplete version are assumed to belong to a killed publisher."""
_ACCESS_PROBLEMS = {
    "http://169.254.": "no credentials are set, and the machine has no role",
    "NoSuchBucket": "there is no such bucket",
    "ContainerNotFound": "there is no such container",
    "401 Unauthorized": "the credentials are refused",
    "403 Forbidden": "the credentials are refused",
}
"""Part of an error of obstore -> what it means. Lists have no exceptions of their own for these; the
first is the beginning of the addresses at which clients ask for a role of the machine."""
_FETCHES = 3
"""How often a file is fetched whose content does not have the expected checksum."""

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """When an operation on an object store is given up: its number of requests and their times."""

    attempts: int
    """Number of requests of one operation."""
    connect_timeout_s: float
    """Longest time (s) for a connection."""
    stall_timeout_s: float
    """Longest time (s) in which no byte of an answer arrives."""
    first_pause_s: float = 0.1
    """Time (s) between the first two requests; it doubles with each further one."""


BRIEF = Patience(attempts=3, connect_timeout_s=1.0, stall_timeout_s=3.0)
"""For a service, which has a cache to go on with."""
LONG = Patience(attempts=8, connect_timeout_s=5.0, stall_timeout_s=20.0)
"""For a command or a training, which would have to be started again."""

REQUEST_TIMEOUT_S = 300.0
"""Longest time (s) of one request."""


class NotModified(Exception):  # noqa: N818 - an answer, not an error
    """The object still has the ETag of the conditional request."""


class Fetched(NamedTuple):
    """An object as it was read."""

    content: bytes
    etag: str | None
    version: str | None
    """Number of the object's content, in stores that count instead of hashing."""


class Objects:
    """Backend over an object store. Only this module knows obstore."""

    unavailable = None

    def __init__(
        self,
        url: str,
        store: "ObjectStore",
        patience: Patience = LONG,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._url = url
        self._store = store
        self._patience = patience
        self._now = now

    def __str__(self) -> str:
        return self._url

    # --- the backend ---

    def listing(self) -> dict[str, set[int]]:
        """Return all names with their complete versions, by listing every object."""
        versions: dict[str, set[int]] = {}
        for path in self._manifests(""):
            name, version, _ = path.split("/")
            versions.setdefault(name, set()).add(int(version))
        return versions

    def names(self) -> set[str]:
        """Return the names that have complete versions."""
        return set(self.listing())

    def versions(self, name: str) -> set[int]:
        """Return the versions of a name that have a manifest."""
        return {int(path.split("/")[1]) for path in self._manifests(f"{name}/")}

    def has(self, name: str, version: int) -> bool:
        """Return True if the version has a manifest."""
        import obstore  # noqa: PLC0415 - optional

        try:
            path = f"{name}/{version}/{MANIFEST}"
            return self._ask(lambda: obstore.head(self._store, path)["size"]) > 0
        except FileNotFoundError:
            return False

    def read(
        self, name: str, version: int, filename: str, max_bytes: int, sha256: str | None = None
    ) -> bytes:
        """Fetch a file; raises FileNotFoundError, and OSError if it is larger than `max_bytes`.

        A file that arrives with another checksum is fetched again: it may have been cut on the way.
        """
        path = f"{name}/{version}/{filename}"
        for attempt in itertools.count(1):
            fetched = self.fetch(path, max_bytes=max_bytes)
            if fetched is None:
                raise FileNotFoundError(errno.ENOENT, "there is no such object", path)
            content = fetched.content
            if sha256 is None or attempt == _FETCHES or record(content).sha256 == sha256:
                return content
        raise AssertionError("unreachable")

    def find_link(self, name: str, version: int) -> None:
        """Return None: an object is no link."""

    def create(
        self, name: str, version: int, files: Mapping[str, bytes], *, resume: bool = False
    ) -> bool:
        """Create every file, the manifest last; return False if any exists with other content."""
        self._sweep_abandoned(name)
        claim = {} if resume else {_CLAIM: uuid.uuid4().hex.encode()}
        before = {file: content for file, content in files.items() if file != MANIFEST}
        ordered = claim | before
        if not all(self._create(f"{name}/{version}/{file}", ordered[file]) for file in ordered):
            return False
        manifest = files[MANIFEST]
        path = f"{name}/{version}/{MANIFEST}"
        return self._create(path, manifest) or (resume and self._put_back(path, manifest))

    def remove(self, name: str, version: int) -> None:
        """Empty the manifest, which hides the version, and then delete the other files."""
        import obstore  # noqa: PLC0415 - optional

        folder = f"{name}/{version}/"
        fetched = self.fetch(folder + MANIFEST)
        if fetched is None or not fetched.content:
            raise FileNotFoundError(errno.ENOENT, "there is no such object", folder + MANIFEST)
        mark = record(fetched.content).sha256.encode()
        self._ask(lambda: obstore.put(self._store, folder + _REMOVED, mark))
        self._create(folder + _CLAIM, uuid.uuid4().hex.encode())
        if not self._put_if_unchanged(folder + MANIFEST, b"", fetched):
            raise FileExistsError(errno.EEXIST, "another process changed it", folder + MANIFEST)
        kept = {folder + each for each in (MANIFEST, _REMOVED, _CLAIM)}
        unused = sorted({entry["path"] for entry in self._list(folder)} - kept)
        if unused:
            with contextlib.suppress(FileNotFoundError):
                self._ask(functools.partial(obstore.delete, self._store, unused))

    def seal(self, name: str, version: int, content: bytes) -> None:
        """Create SHA256SUMS of a version; raises FileExistsError if there is one with other content."""
        if not self._create(f"{name}/{version}/{CHECKSUMS}", content):
            raise FileExistsError(errno.EEXIST, f"there is another {CHECKSUMS}")

    def read_aliases(self, name: str) -> bytes | None:
        """Fetch aliases.json."""
        fetched = self.fetch(f"{name}/{ALIASES}", max_bytes=MAX_ALIASES_BYTES)
        return None if fetched is None else fetched.content

    def change_aliases(
        self, name: str, change: Callable[[bytes | None], bytes], timeout_s: float
    ) -> None:
        """Replace aliases.json if it is still the one that was read, else read it again."""
        path = f"{name}/{ALIASES}"
        deadline = time.monotonic() + timeout_s
        while True:
            fetched = self.fetch(path, max_bytes=MAX_ALIASES_BYTES)
            before = None if fetched is None else fetched.content
            content = change(before)
            if content == before or self._put_if_unchanged(path, content, fetched):
                return
            if time.monotonic() >= deadline:
                raise TimeoutError(f"other processes kept changing {path} for {timeout_s:.3g} s")

    def check_writable(self) -> None:
        """Check by creating and deleting an object; raises StoreUnavailableError if that fails."""
        import obstore  # noqa: PLC0415 - optional

        path = f".write-check-{uuid.uuid4().hex}"
        self._put(path, b"zserve", "overwrite")
        with contextlib.suppress(FileNotFoundError):  # deleted by an attempt whose answer was lost
            self._ask(lambda: obstore.delete(self._store, path))

    # --- single objects ---

    def fetch(
        self, path: str, *, etag: str | None = None, max_bytes: int | None = None
    ) -> Fetched | None:
        """Return an object, or None if there is none.

        Raises NotModified if its ETag is `etag`, and OSError if it is larger than `max_bytes`.
        """
        import obstore  # noqa: PLC0415 - optional

        def get() -> Fetched:
            options: Any = {} if etag is None else {"if_none_match": etag}
            answer = obstore.get(self._store, path, options=options)
            meta = answer.meta
            if max_bytes is not None and meta["size"] > max_bytes:
                raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", path)
            return Fetched(bytes(answer.bytes()), meta["e_tag"], meta["version"])

        try:
            return self._ask(get)
        except FileNotFoundError:
            return None

    def _create(self, path: str, content: bytes) -> bool:
        """Create an object unless there is one; return False if that has other content."""
        if self._put(path, content, "create"):
            return True
        fetched = self.fetch(path)
        return fetched is not None and fetched.content == content

    def _put_back(self, path: str, manifest: bytes) -> bool:
        """Replace the empty manifest of a removed version by its own; return False otherwise."""
        import obstore  # noqa: PLC0415 - optional

        mark = self.fetch(path.removesuffix(MANIFEST) + _REMOVED)
        empty = self.fetch(path)
        if mark is None or empty is None or empty.content:
            return False
        if mark.content != record(manifest).sha256.encode():
            return False
        if not self._put_if_unchanged(path, manifest, empty):
            return False
        with contextlib.suppress(FileNotFoundError):
            self._ask(lambda: obstore.delete(self._store, path.removesuffix(MANIFEST) + _REMOVED))
        return True

    def _put_if_unchanged(self, path: str, content: bytes, fetched: Fetched | None) -> bool:
        """Replace the object that was fetched, or create it; return False if it is another now."""
        if fetched is None:
            return self._put(path, content, "create")
        seen = {"e_tag": fetched.etag, "version": fetched.version}
        return self._put(path, content, {key: value for key, value in seen.items() if value})

    def _put(self, path: str, content: bytes, mode: Any) -> bool:
        import obstore  # noqa: PLC0415 - optional
        from obstore.exceptions import (  # noqa: PLC0415
            AlreadyExistsError,
            PreconditionError,
        )

        try:
            self._ask(lambda: obstore.put(self._store, path, content, mode=mode))
        except (AlreadyExistsError, PreconditionError):
            return False
        except FileNotFoundError as error:
            raise self._no_bucket() from error
        return True

    def _list(self, prefix: str) -> list[Mapping[str, Any]]:
        import obstore  # noqa: PLC0415 - optional

        try:
            return list(self._ask(lambda: obstore.list(self._store, prefix or None).collect()))
        except FileNotFoundError as error:
            raise self._no_bucket() from error

    def _no_bucket(self) -> StoreAccessError:
        return StoreAccessError(f"{self._url}: there is no such {_bucket(self._url)}")

    def _manifests(self, prefix: str) -> Iterator[str]:
        """Yield the paths of the manifests of complete versions."""
        for entry in self._list(prefix):
            path: str = entry["path"]
            parts = path.split("/")
            if len(parts) == 3 and parts[2] == MANIFEST and is_version(parts[1]) and entry["size"]:
                yield path

    def _sweep_abandoned(self, name: str) -> None:
        """Delete the files of publishers that were killed.

        An empty manifest is created first, so that a publisher that is only slow cannot complete the
        version any more.
        """
        import obstore  # noqa: PLC0415 - optional

        entries = self._list(f"{name}/")
        for claim in (entry["path"] for entry in entries if entry["path"].endswith(f"/{_CLAIM}")):
            folder = claim.removesuffix(_CLAIM)
            manifest = folder + MANIFEST
            files = {entry["path"]: entry for entry in entries if entry["path"].startswith(folder)}
            complete = manifest in files and files[manifest]["size"] > 0
            unused = sorted(files.keys() - {claim, manifest, folder + _REMOVED})
            newest = max(entry["last_modified"] for entry in files.values())
            if complete or not unused or self._now() - newest < _ABANDONED_AFTER:
                continue
            if self._create(manifest, b""):
                with contextlib.suppress(FileNotFoundError):  # another publisher deletes them too
                    self._ask(functools.partial(obstore.delete, self._store, unused))

    def _ask(self, call: Callable[[], T]) -> T:
        """Call obstore, again after a pause if that fails for a reason that may pass."""
        pause_s = self._patience.first_pause_s
        for attempt in range(1, self._patience.attempts + 1):
            try:
                with _translated(self._url):
                    return call()
            except StoreAccessError:
                raise
            except StoreUnavailableError:
                if attempt == self._patience.attempts:
                    raise
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients
            pause_s *= 2
        raise AssertionError("unreachable")


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn errors of obstore, other than those of conditions, into StoreUnavailableError."""
    from obstore import exceptions  # noqa: PLC0415 - optional

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except exceptions.NotModifiedError as error:
        raise NotModified from error
    except exceptions.BaseError as error:
        for mark, problem in _ACCESS_PROBLEMS.items():
            if mark in str(error):
                raise StoreAccessError(f"{url}: {problem} ({_reason(error)})") from error
        raise StoreUnavailableError(f"{url} does not answer: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0].partition(": <?xml")[0].removesuffix(".")[:300]


# --- opening -----------------------------------------------------------------------------------

SCHEMES = ("s3", "gs", "az", "memory")


def is_url(location: str) -> bool:
    """Return True if a location names an object store, not a folder."""
    return "://" in location


def _bucket(url: str) -> str:
    """Return what the cloud of an address calls the place that has the objects."""
    return "container" if url.startswith("az:") else "bucket"


def check_url(url: str) -> None:
    """Raise InvalidAddressError if a URL cannot name an object store."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES:
        raise InvalidAddressError(
            f"{scheme}:// is no kind of store; use s3://bucket/prefix, gs://bucket/prefix, "
            "az://container/prefix, hf://org/name, or a folder"
        )
    if not rest.strip("/") and scheme != "memory":
        bucket = _bucket(url)
        raise InvalidAddressError(f"{url} names no {bucket}; write {scheme}://{bucket}/prefix")
    if importlib.util.find_spec("obstore") is None:
        raise InvalidAddressError(
            "object stores need the package obstore: pip install 'zserve[object-store]'"
        )


def open_objects(url: str, patience: Patience = LONG) -> Objects:
    """Return the backend of a URL, without a request; raises InvalidAddressError.

    Credentials, region and endpoint come from the variables of the cloud's own tools.
    """
    check_url(url)
    if url.startswith("memory://"):
        return Objects(url, _memory(url), patience)
    from obstore import exceptions  # noqa: PLC0415 - optional
    from obstore.store import from_url  # noqa: PLC0415

    try:
        store = from_url(
            url,
            client_options={
                "allow_http": True,  # an endpoint is only reached so if its address says http://
                "connect_timeout": timedelta(seconds=patience.connect_timeout_s),
                "read_timeout": timedelta(seconds=patience.stall_timeout_s),
                "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
            },
            retry_config={"max_retries": 0},
        )
    except (exceptions.BaseError, ValueError) as error:
        reason = _reason(error)
        if "Account must be specified" in reason:
            reason += "; set AZURE_STORAGE_ACCOUNT_NAME"
        raise InvalidAddressError(f"{url} cannot be opened: {reason}") from error
    return Objects(url, store, patience)


@functools.cache
def _memory(_url: str) -> "ObjectStore":
    """Return the store in memory that all openings of a URL in this process share."""
    from obstore.store import MemoryStore  # noqa: PLC0415 - optional

    return MemoryStore()
