"""Copy versions and aliases from one store to another, and compare two stores.

A copy keeps its number and its bytes. What is there already is skipped, so a transfer that was
interrupted is continued by starting it again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from model_store.errors import ModelNotFoundError, PublishError
from model_store.spec import ModelRef
from model_store.store import signing
from model_store.store.signing import SIGNATURE
from model_store.store.store import Store


def select(store: Store, references: Iterable[str]) -> list[ModelRef]:
    """Return the versions that references name; a bare name means all versions of a model.

    Without references, all versions of the store. Raises InvalidReferenceError, NotFoundError.
    """
    refs: list[ModelRef] = []
    for text in list(references) or store.names():
        ref = ModelRef.parse(text)
        if "@" in text:
            refs.append(store.resolve(ref))
        else:
            refs += [ModelRef(name=ref.name, version=v) for v in store.versions(ref.name)]
    return list(dict.fromkeys(refs))


def copy_version(
    source: Store, ref: ModelRef, target: Store, *, private_key: Path | None = None
) -> bool:
    """Copy a version under its number; return False if the target has it already.

    With `private_key` the copy is signed. Raises PublishError if the target has another version of that
    number, or this one without a signature that was asked for, or cannot be written;
    CorruptVersionError if a version is damaged; and SignatureError if the key cannot sign.
    """
    if not target.has(ref) and target.add(ref, signed_files(source, ref, private_key)):
        return True
    if target.has(ref) and target.manifest(ref) == source.manifest(ref):
        if private_key is not None and SIGNATURE not in target.files(ref):
            raise PublishError(
                f"{target} has {ref} without a signature; remove it there, or publish it under a new "
                "number"
            )
        return False
    raise PublishError(
        f"{target} has another {ref}, or a publisher was killed there while it wrote one; "
        "publish the version under a new number"
    )


def signed_files(store: Store, ref: ModelRef, private_key: Path | None) -> dict[str, bytes]:
    """Return the files of a version, signed anew if there is a key; raises as `Store.files`."""
    files = store.files(ref)
    if private_key is None:
        return files
    return files | {SIGNATURE: signing.sign(files, private_key)}


def copy_aliases(source: Store, name: str, target: Store) -> list[str]:
    """Point the aliases of a model at the versions that they have in the source.

    Returns a line for each change. Aliases that the source does not have are kept. Raises
    VersionNotFoundError if the target lacks a version.
    """
    changes = []
    for alias, version in sorted(source.aliases(name).items()):
        before = target.aliases(name).get(alias)
        if before != version:
            target.set_alias(name, alias, version)
            changes.append(f"{name}@{alias} is version {version} (was {before or 'not set'})")
    return changes


def differences(source: Store, refs: Iterable[ModelRef], target: Store) -> Iterator[str]:
    """Yield a line for each version and each alias that the target lacks or has otherwise.

    Only manifests are compared, which have the checksums of all other files.
    """
    names = []
    for ref in refs:
        names.append(ref.name)
        if not target.has(ref):
            yield f"{ref} is missing in {target}"
        elif target.manifest(ref) != source.manifest(ref):
            yield f"{ref} is another version in {target}"
    for name in dict.fromkeys(names):
        theirs = _aliases(target, name)
        for alias, version in sorted(source.aliases(name).items()):
            if theirs.get(alias) != version:
                other = theirs.get(alias, "not set")
                yield f"{name}@{alias} is version {version}, and {other} in {target}"


def _aliases(store: Store, name: str) -> dict[str, int]:
    try:
        return store.aliases(name)
    except ModelNotFoundError:
        return {}
