"""The commands that remove versions and rename models."""

import argparse
import sys

from model_store.command_line import counted
from model_store.spec import Manifest, ModelRef
from model_store.store.listing import manifest_or_error, size_bytes
from model_store.store.store import Store
from model_store.store.tidying import remove_model, rename_model, unused_versions


def remove(store: Store, options: argparse.Namespace) -> int:
    """Remove versions that no alias names, or with --all whole models."""
    refs = [ModelRef.parse(text) for text in options.refs]
    for ref, text in zip(refs, options.refs, strict=True):
        if options.all and "@" in text:
            print(f"model_store: --all takes names, not {text}", file=sys.stderr)
            return 2
        if not options.all and ref.version is None:
            print(
                f"model_store: {text} names no version: write {ref.name}@3, or `models rm {ref.name} --all` to "
                "remove every version",
                file=sys.stderr,
            )
            return 2
    for ref in refs:
        if options.all:
            removed = remove_model(store, ref.name)
        else:
            store.remove(ref)
            removed = [ref]
        for each in removed:
            print(f"removed {each}")
    return 0


def rename(store: Store, options: argparse.Namespace) -> int:
    """Give a model another name."""
    for ref in rename_model(store, options.old, options.new):
        print(f"{options.old}@{ref.version} is {ref}")
    return 0


def prune(store: Store, options: argparse.Namespace) -> int:
    """Print the versions that no alias names and that are not the newest; with --yes remove them."""
    names = options.names or store.names()
    unused = unused_versions(store, names, options.keep)
    size = 0
    for ref in unused:
        entry = manifest_or_error(store, ref)
        size += size_bytes(entry) if isinstance(entry, Manifest) else 0
        if options.yes:
            store.remove(ref)
        print(f"{'removed' if options.yes else 'would remove'} {ref}")
    newest = {0: "", 1: " and the newest of each model"}.get(
        options.keep, f" and the newest {options.keep} of each model"
    )
    print(
        f"{counted(len(unused), 'version')}, {size / 1e6:.1f} MB; what an alias names{newest} is kept"
    )
    if unused and not options.yes:
        print("nothing was removed; add --yes to remove them")
    return 0
