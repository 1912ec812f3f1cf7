"""Push versions to a repository of the Hugging Face hub, one commit for each.

The files of the version become the files at the root of the repository, with a README that the hub
can read. The commit is made on main or on the branch of the address, and gets the tag `v` and the
number of the version. Files of the version that was there before are removed; others are kept.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_store.errors import PublishError
from model_store.spec import ModelRef
from model_store.store.checksums import CHECKSUMS, MANIFEST
from model_store.store.hub import MAIN, asking, parse_hub, version_tag
from model_store.store.hub_card import readme
from model_store.store.signing import SIGNATURE
from model_store.store.store import Store
from model_store.store.transfer import signed_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi

README = "README.md"
_CARD = "card.md"


def push_version(
    source: Store,
    ref: ModelRef,
    url: str,
    *,
    license_id: str,
    private_key: Path | None = None,
    api: "HfApi | None" = None,
) -> bool:
    """Push a version, signed if there is a key; return False if the repository has it already.

    Raises CorruptVersionError if the version is damaged, StoreUnavailableError if the hub does not
    answer, and PublishError if the tag of the version is that of another one, or if the repository has
    another model.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 - optional

    address = parse_hub(url)
    api = HfApi(library_name="zserve") if api is None else api
    files = signed_files(source, ref, private_key)
    manifest = source.manifest(ref)
    tag = version_tag(manifest.version)
    with asking(url):
        api.create_repo(address.repo, exist_ok=True)
        refs = api.list_repo_refs(address.repo)
        tagged = {each.name: each.target_commit for each in refs.tags}.get(tag)
        if tagged is not None:
            if _manifest_at(api, address.repo, tagged) == files[MANIFEST]:
                return False
            raise PublishError(
                f"{url}: the tag {tag} is that of another version; publish {manifest.ref} under a "
                "new number"
            )
        branch = address.revision or MAIN
        other = _name_at(api, address.repo, MAIN)
        if other not in {None, manifest.name}:
            raise PublishError(
                f"{url} is the repository of the model {other}; push {ref} to one of its own"
            )
        if branch != MAIN and branch not in {each.name for each in refs.branches}:
            api.create_branch(address.repo, branch=branch)
        document = readme(manifest, files[_CARD].decode(), license_id)
        commit = _commit(api, address.repo, branch, files | {README: document.encode()}, ref)
        api.create_tag(address.repo, tag=tag, revision=commit, tag_message=str(manifest.ref))
    return True


def _commit(api: "HfApi", repo: str, branch: str, files: Mapping[str, bytes], ref: ModelRef) -> str:
    """Commit the files of a version in place of the one before; return the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete  # noqa: PLC0415 - optional

    present = set(api.list_repo_files(repo, revision=branch))
    before = _files_of(_manifest_at(api, repo, branch)) if MANIFEST in present else set()
    operations: list[Any] = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in sorted(files.items())
    ]
    operations += [
        CommitOperationDelete(path_in_repo=name)
        for name in sorted((before & present) - files.keys())
    ]
    info = api.create_commit(repo, operations, commit_message=f"Publish {ref}", revision=branch)
    return str(info.oid)


def _name_at(api: "HfApi", repo: str, revision: str) -> str | None:
    """Return the name of the model of a revision, or None if it has no readable manifest."""
    if MANIFEST not in api.list_repo_files(repo, revision=revision):
        return None
    try:
        return str(json.loads(_manifest_at(api, repo, revision) or b"{}")["name"])
    except (ValueError, TypeError, KeyError):
        return None


def _files_of(manifest: bytes | None) -> set[str]:
    """Return the files of the version that a manifest describes."""
    try:
        return {*json.loads(manifest or b"{}").get("files", ()), MANIFEST, CHECKSUMS, SIGNATURE}
    except (ValueError, AttributeError):
        return set()


def _manifest_at(api: "HfApi", repo: str, revision: str) -> bytes | None:
    """Return manifest.json of a revision, or None if it has none."""
    from huggingface_hub.errors import RemoteEntryNotFoundError  # noqa: PLC0415 - optional

    try:
        with tempfile.TemporaryDirectory(prefix="zserve-hub-") as folder:
            path = api.hf_hub_download(repo, MANIFEST, revision=revision, cache_dir=folder)
            return Path(path).read_bytes()
    except RemoteEntryNotFoundError:
        return None
