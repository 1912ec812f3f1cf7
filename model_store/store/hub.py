"""Models in a repository of the Hugging Face hub, read by its files alone.

    hf://org/name              the versions that the tags v1, v2, ... hold, and that of the branch main
    hf://org/name@revision     the version of one branch, tag or commit

The files of a version lie at the root of the repository, so a revision holds one version; main holds
the version that `production` means. Files are read at the commit that a branch or tag has, so that a
push does not mix two versions, and the checksums of the manifest are checked as in any store. No code
of the repository is run. `hub_push` writes such a repository. Only this module, `hub_push` and `hub_card`
import huggingface_hub.
"""

import errno
import importlib.util
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model_store.errors import InvalidAddressError, StoreAccessError, StoreUnavailableError
from model_store.store.backend import ALIASES
from model_store.store.checksums import MANIFEST, MAX_MANIFEST_BYTES
from model_store.store.objects import Fetched, NotModified

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SCHEME = "hf"
MAIN = "main"
"""Branch that a repository has from the beginning."""

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+))?/?", re.ASCII)
_TAG = re.compile(r"v([1-9]\d{0,8})", re.ASCII)
_FRESH_S = 1.0
"""Seconds for which the list of branches and tags is used again."""
_TIMEOUT_S = 10.0
"""Longest time (s) that a request waits for the hub."""


class HubAddress(NamedTuple):
    """A repository, and the revision that the address names."""

    repo: str
    revision: str | None = None


@dataclass(frozen=True)
class _Commit:
    """A revision as it is now."""

    sha: str
    name: str
    version: int


def is_hub(location: str) -> bool:
    """Return True if a location names a repository of the hub."""
    return location.startswith(f"{SCHEME}://")


def parse_hub(url: str) -> HubAddress:
    """Read an address; raises InvalidAddressError, also if the client of the hub is missing."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        raise InvalidAddressError(f"{url} names no repository; write hf://org/name[@revision]")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise InvalidAddressError(
            "repositories of the hub need the package huggingface_hub: pip install 'zserve[hub]'"
        )
    return HubAddress(match[1], match[2])


def version_tag(version: int) -> str:
    """Return the tag of a version: v7."""
    return f"v{version}"


class Hub:
    """Backend over one repository, which it only reads.

    Endpoint and token are those of the hub's own tools: HF_ENDPOINT, HF_TOKEN, `hf auth login`.
    """

    unavailable = None

    def __init__(self, url: str, api: "HfApi") -> None:
        self._url = url
        self._address = parse_hub(url)
        self._api = api
        self._lock = threading.Lock()
        self._commits: tuple[_Commit, ...] = ()
        self._listed_at: float | None = None
        self._described: dict[str, _Commit] = {}

    def __str__(self) -> str:
        return self._url

    # --- the backend ---

    def listing(self) -> dict[str, set[int]]:
        """Return the versions of the repository, whose model is that of its main branch."""
        commits = self._revisions()
        return {commits[0].name: {each.version for each in commits}} if commits else {}

    def names(self) -> set[str]:
        """Return the name of the model."""
        return set(self.listing())

    def versions(self, name: str) -> set[int]:
        """Return the versions of the model, if it has this name."""
        return self.listing().get(name, set())

    def has(self, name: str, version: int) -> bool:
        """Return True if a revision holds the version."""
        return version in self.versions(name)

    def read(
        self,
        name: str,
        version: int,
        filename: str,
        max_bytes: int,
        sha256: str | None = None,  # noqa: ARG002 - the caller checks it
    ) -> bytes:
        """Fetch a file; raises FileNotFoundError, and OSError if it is larger than `max_bytes`."""
        content = self._file(self._commit(name, version).sha, filename, max_bytes)
        if content is None:
            raise FileNotFoundError(errno.ENOENT, "the repository has no such file", filename)
        return content

    def find_link(self, name: str, version: int) -> None:
        """Return None: the hub resolves links itself, and checksums tell what they lead to."""

    def read_aliases(self, name: str) -> bytes | None:
        """Return aliases.json: `production` is the version of main, or of the revision."""
        commits = self._revisions()
        if not commits or commits[0].name != name:
            return None
        return json.dumps({"production": commits[0].version}).encode()

    def fetch(
        self, path: str, *, etag: str | None = None, max_bytes: int | None = None
    ) -> Fetched | None:
        """Return a manifest, SHA256SUMS or aliases.json by its path in a store, for a cache.

        The ETag is the commit, and None for aliases.json. Raises NotModified if the ETag is `etag`, and
        OSError if the file is larger than `max_bytes`.
        """
        name, _, rest = path.partition("/")
        if rest == ALIASES:
            content = self.read_aliases(name)
            return None if content is None else Fetched(content, None, None)
        number, _, filename = rest.partition("/")
        try:
            commit = self._commit(name, int(number))
        except FileNotFoundError:
            return None
        if commit.sha == etag:
            raise NotModified
        content = self._file(commit.sha, filename, max_bytes or MAX_MANIFEST_BYTES)
        return None if content is None else Fetched(content, commit.sha, None)

    def create(
        self,
        name: str,  # noqa: ARG002 - nothing is written
        version: int,  # noqa: ARG002
        files: Mapping[str, bytes],  # noqa: ARG002
        *,
        resume: bool = False,  # noqa: ARG002
    ) -> bool:
        """Refuse: a version is added by a push."""
        raise _read_only()

    def remove(self, name: str, version: int) -> None:  # noqa: ARG002 - nothing is written
        """Refuse: a version is removed on the hub itself."""
        raise _read_only()

    def seal(
        self,
        name: str,  # noqa: ARG002 - nothing is written
        version: int,  # noqa: ARG002
        content: bytes,  # noqa: ARG002
    ) -> None:
        """Refuse: a version is sealed before it is pushed."""
        raise _read_only()

    def change_aliases(
        self,
        name: str,  # noqa: ARG002 - nothing is written
        change: Callable[[bytes | None], bytes],  # noqa: ARG002
        timeout_s: float,  # noqa: ARG002
    ) -> None:
        """Refuse: `production` is the version of main."""
        raise _read_only()

    # --- revisions ---

    def _revisions(self) -> tuple[_Commit, ...]:
        """Return the commits that hold versions, that of main or of the address first."""
        with self._lock:
            now = time.monotonic()
            if self._listed_at is None or now - self._listed_at > _FRESH_S:
                self._commits = tuple(self._find_revisions())
                self._listed_at = now
            return self._commits

    def _find_revisions(self) -> Iterator[_Commit]:
        with asking(self._url):
            refs = self._api.list_repo_refs(self._address.repo)
        branches = {each.name: each.target_commit for each in refs.branches}
        tags = {each.name: each.target_commit for each in refs.tags}
        if self._address.revision is not None:
            revision = self._address.revision
            sha = tags.get(revision) or branches.get(revision) or revision
            first = self._describe(sha)
            if first is None:
                raise StoreAccessError(f"{self._url}: the revision has no {MANIFEST}")
            yield first
            return
        first = self._describe(branches[MAIN]) if MAIN in branches else None
        if first is None:
            return
        yield first
        for tag, sha in tags.items():
            match = _TAG.fullmatch(tag)
            if match and int(match[1]) != first.version:
                yield _Commit(sha, first.name, int(match[1]))

    def _describe(self, sha: str) -> _Commit | None:
        """Return which version a commit holds, or None; the manifest itself is checked later."""
        if sha not in self._described:
            content = self._file(sha, MANIFEST, MAX_MANIFEST_BYTES)
            if content is None:
                return None
            try:
                manifest = json.loads(content)
                commit = _Commit(sha, str(manifest["name"]), int(manifest["version"]))
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise StoreUnavailableError(
                    f"{self._url}: {MANIFEST} of commit {sha[:12]} is not that of a version"
                ) from error
            self._described[sha] = commit
        return self._described[sha]

    def _commit(self, name: str, version: int) -> _Commit:
        for commit in self._revisions():
            if (commit.name, commit.version) == (name, version):
                return commit
        raise FileNotFoundError(errno.ENOENT, "the repository has no such version", name)

    def _file(self, sha: str, filename: str, max_bytes: int) -> bytes | None:
        """Return a file at a commit, or None if there is none."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url  # noqa: PLC0415 - optional
        from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415

        repo, endpoint = self._address.repo, self._api.endpoint
        with asking(self._url):
            try:
                address = hf_hub_url(repo, filename, revision=sha, endpoint=endpoint)
                size = get_hf_file_metadata(
                    address, token=self._api.token, timeout=_TIMEOUT_S, endpoint=endpoint
                ).size
                if size is not None and size > max_bytes:
                    raise OSError(errno.EFBIG, f"it has more than {max_bytes:,} bytes", filename)
                with tempfile.TemporaryDirectory(prefix="zserve-hub-") as folder:
                    path = self._api.hf_hub_download(repo, filename, revision=sha, cache_dir=folder)
                    return Path(path).read_bytes()
            except RemoteEntryNotFoundError:
                return None


def open_hub(url: str) -> Hub:
    """Return the backend of an address, without a request; raises InvalidAddressError."""
    parse_hub(url)
    from huggingface_hub import HfApi  # noqa: PLC0415 - optional

    return Hub(url, HfApi(library_name="zserve"))


@contextmanager
def asking(url: str) -> Iterator[None]:
    """Turn errors of the hub's client into StoreUnavailableError and StoreAccessError."""
    from huggingface_hub import errors  # noqa: PLC0415 - optional

    try:
        yield
    except errors.RemoteEntryNotFoundError:
        raise
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise StoreAccessError(
            f"{url}: the hub has no such repository or revision, or the token (HF_TOKEN) may not "
            "read it"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        kind = StoreAccessError if status in {401, 403} else StoreUnavailableError
        raise kind(f"{url}: the hub answers {status}: {_reason(error)}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise StoreUnavailableError(f"{url} does not answer: {_reason(error)}") from error
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise
        raise StoreUnavailableError(f"{url} does not answer: {_reason(error)}") from error
    except RuntimeError as error:  # of an upload, whose cause has the reason
        reason = _reason(error.__cause__ if isinstance(error.__cause__, Exception) else error)
        raise StoreUnavailableError(f"{url}: {_reason(error)} {reason}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"httpx", "httpx2", "httpcore"}:
            raise
        raise StoreUnavailableError(f"{url} does not answer: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().partition("\n")[0][:300]


def _read_only() -> OSError:
    return OSError(errno.EROFS, "a repository of the hub is written by `models push` alone")
