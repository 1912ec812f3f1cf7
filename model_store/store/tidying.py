"""Remove versions, rename models, and find the versions that no alias names.

A number is never given to two versions: if a model was removed and is published again, its next
version gets a number that no version had before.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from model_store.errors import ModelNotFoundError, PublishError, StoreError
from model_store.spec import Manifest, ModelRef
from model_store.store.checksums import CHECKSUMS, MANIFEST, checksums, record
from model_store.store.signing import SIGNATURE
from model_store.store.store import Store, check_name
from model_store.store.version import CARD


def remove_model(store: Store, name: str) -> list[ModelRef]:
    """Remove all versions and aliases of a model; return the versions.

    The oldest goes last, so that the bare name means a version as long as there is one.
    """
    refs = [ModelRef(name=name, version=version) for version in reversed(store.versions(name))]
    _check_owned(store, refs, f"remove {name}")
    store.forget_aliases(name)
    for ref in refs:
        store.remove(ref, last=True)
    return refs


def unused_versions(store: Store, names: Iterable[str], keep: int) -> list[ModelRef]:
    """Return the versions that no alias names and that are not among the newest `keep` of a model.

    Shipped versions are left out: they are never removed.
    """
    unused = []
    for name in names:
        versions = store.versions(name)
        kept = {*store.aliases(name).values(), *(versions[-keep:] if keep else ())}
        refs = (ModelRef(name=name, version=v) for v in versions if v not in kept)
        unused += [ref for ref in refs if store.owns(ref)]
    return unused


def rename_model(store: Store, old: str, new: str) -> list[ModelRef]:
    """Give a model another name, with its versions, their numbers and its aliases.

    Every version is written again under the new name, then the aliases are set, then the old name is
    removed: a rename that was interrupted is continued by the same call. Weights keep their bytes.
    Raises InvalidReferenceError, NotFoundError, CorruptVersionError, and PublishError if the new name
    has other versions.
    """
    check_name(new)
    refs = [ModelRef(name=old, version=version) for version in store.versions(old)]
    _check_owned(store, refs, f"rename {old}")
    if old == new:
        raise StoreError(f"cannot rename {old}: it has that name already")
    others = _versions(store, new) - {ref.version for ref in refs}
    if others:
        raise PublishError(
            f"cannot rename {old}: there is a model {new}, with the versions "
            f"{', '.join(map(str, sorted(others)))}; choose a name that is not used"
        )
    renamed = []
    for ref in refs:
        target = ModelRef(name=new, version=ref.version)
        files = _renamed(store.files(ref), ref, target)
        if not store.add(target, files) and (not store.has(target) or store.files(target) != files):
            raise PublishError(
                f"cannot rename {old}: the number {target} is taken by another version, which may "
                "have been removed; choose a name that was not used"
            )
        renamed.append(target)
    for alias, version in store.aliases(old).items():
        if store.aliases(new).get(alias) != version:
            store.set_alias(new, alias, version)
    remove_model(store, old)
    return renamed


def _renamed(files: Mapping[str, bytes], old: ModelRef, new: ModelRef) -> dict[str, bytes]:
    """Return the files of a version for another name: card, manifest and checksums change.

    A signature is left out: what it signs is another version.
    """
    card = re.sub(
        rf"(?<![\w.-]){re.escape(str(old))}(?!\d)".encode(), str(new).encode(), files[CARD]
    )
    document = json.loads(files[MANIFEST])
    document["name"] = new.name
    document["files"][CARD] = record(card).model_dump()
    manifest = Manifest.model_validate(document)
    text = _edited(files[MANIFEST].decode(), document, old.name)
    changed = {CARD: card, MANIFEST: text, CHECKSUMS: checksums(manifest.files, text)}
    kept = {name: content for name, content in files.items() if name != SIGNATURE}
    return {**kept, **changed}


def _edited(text: str, document: Mapping[str, Any], old_name: str) -> bytes:
    """Return the text of a manifest, changed in its name and its record of the card alone.

    Nothing else changes, so renaming the model back restores the bytes of the version, which may take
    its number again. `document` is what the result says.
    """
    card = document["files"][CARD]

    def change_card(match: re.Match[str]) -> str:
        with_hash = re.sub(r'(?<=")[0-9a-f]{64}(?=")', card["sha256"], match[0])
        return re.sub(r'("size_bytes"\s*:\s*)\d+', rf"\g<1>{card['size_bytes']}", with_hash)

    text = re.sub(rf'"{re.escape(CARD)}"\s*:\s*{{[^{{}}]*}}', change_card, text)
    for match in re.finditer(rf'(?<="name")\s*:\s*"{re.escape(old_name)}"', text):
        named = match[0].replace(f'"{old_name}"', f'"{document["name"]}"')
        edited = text[: match.start()] + named + text[match.end() :]
        if json.loads(edited) == document:
            return edited.encode()
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _check_owned(store: Store, refs: Iterable[ModelRef], purpose: str) -> None:
    """Raise StoreError if one of the versions is shipped."""
    shipped = [str(ref) for ref in refs if not store.owns(ref)]
    if shipped:
        raise StoreError(
            f"cannot {purpose}: {', '.join(shipped)} comes with zserve, in {store.shipped}, which is "
            "never written"
        )


def _versions(store: Store, name: str) -> set[int]:
    try:
        return set(store.versions(name))
    except ModelNotFoundError:
        return set()
