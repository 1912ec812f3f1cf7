"""List the versions of a store, show, check, seal, promote, copy and remove them."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from model_store.arithmetic import golden
from model_store.command_line import ArgumentParser, counted
from model_store.errors import CorruptVersionError, PublishError, StoreError
from model_store.spec import Manifest, ModelRef
from model_store.store import cli_options, hub_cli
from model_store.store.hub import is_hub
from model_store.store.listing import all_versions, list_versions, size_bytes
from model_store.store.locations import open_store
from model_store.store.options import STORE_HELP, add_store_option
from model_store.store.store import Store
from model_store.store.tidying_cli import prune, remove, rename
from model_store.store.transfer import copy_aliases, copy_version, differences, select


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m model_store") -> int:
    """Run a command and return the exit status.

    The status is 0 on success, 1 if a version fails its checks or cannot be copied, and 2 if the
    named version does not exist, the store does not answer, or an argument is wrong. `prog` is the
    command as help and messages name it.
    """
    options = _parser(prog).parse_args(arguments)
    try:
        return int(options.run(open_store(options.store), options))
    except StoreError as error:
        print(f"model_store: {error}", file=sys.stderr)
        return 1 if isinstance(error, CorruptVersionError) else 2


def show(store: Store, options: argparse.Namespace) -> int:
    """Print the card of a version and its arithmetic, or its manifest."""
    ref = ModelRef.parse(options.ref)
    manifest = store.manifest(ref)
    if options.json:
        print(manifest.model_dump_json(indent=2))
    else:
        print(store.card(ref))
        print(f"Arithmetic: {manifest.arithmetic}")
    return 0


def verify(store: Store, options: argparse.Namespace) -> int:
    """Check every file and every weight of one version, or of all, and prove exact networks."""
    installed = golden.installed()
    executors = installed if options.executor == "all" else (options.executor,)
    if not set(executors) <= set(installed):
        print(f"model_store: the library of executor {executors[0]} is missing", file=sys.stderr)
        return 2
    refs = [ModelRef.parse(options.ref)] if options.ref else all_versions(store)
    failures = 0
    for ref in refs:
        try:
            manifest = store.verify(ref, executors)
            if options.key is not None:
                store.check_signature(ref, options.key)
            unsealed = "" if store.sealed(ref) else _unsealed(manifest)
            signed = "" if options.key is None else f", signed by {options.key.name}"
            print(f"ok      {_summary(manifest)}{_proved(manifest, executors)}{unsealed}{signed}")
        except StoreError as error:
            failures += 1
            print(f"FAILED  {error}")
    print(f"sound: {len(refs) - failures} of {counted(len(refs), 'version')} in {store}")
    if options.against is not None:
        lines = list(differences(store, refs, open_store(options.against)))
        failures += len(lines)
        print("\n".join(lines) or f"{options.against} has the same, with the same aliases")
    return 1 if failures else 0


def push(store: Store, options: argparse.Namespace) -> int:
    """Copy versions to another store, or to a repository of the hub."""
    location, refs = hub_cli.split_address(options.refs, options.to, "--to")
    if is_hub(location):
        return hub_cli.push_to_hub(store, location, refs, options.license, options.sign)
    target = open_store(location)
    return _transfer(store, target, refs, aliases=options.aliases, private_key=options.sign)


def pull(store: Store, options: argparse.Namespace) -> int:
    """Copy versions from another store."""
    location, refs = hub_cli.split_address(options.refs, getattr(options, "from"), "--from")
    source = open_store(location)
    if is_hub(location):
        refs = hub_cli.pulled_references(source, refs)
    return _transfer(source, store, refs, aliases=options.aliases)


def sync(store: Store, options: argparse.Namespace) -> int:
    """Copy all versions and aliases to another store."""
    return _transfer(store, open_store(options.to), (), aliases=True)


def _transfer(
    source: Store,
    target: Store,
    references: Sequence[str],
    *,
    aliases: bool,
    private_key: Path | None = None,
) -> int:
    """Copy versions, and then aliases: a reader never sees an alias before its version."""
    refs = select(source, references)
    copied, failed = 0, set()
    for ref in refs:
        try:
            if copy_version(source, ref, target, private_key=private_key):
                copied += 1
                print(f"copied  {_summary(source.manifest(ref))}", flush=True)
        except (CorruptVersionError, PublishError) as error:
            failed.add(ref)
            print(f"FAILED  {error}", flush=True)
    names = dict.fromkeys(ref.name for ref in refs)
    for name in names if aliases and not failed else ():
        for change in copy_aliases(source, name, target):
            print(change)
    there = len(refs) - copied - len(failed)
    print(
        f"{counted(copied, 'version')} copied from {source} to {target}, {there} were there already"
    )
    return 1 if failed else 0


def seal(store: Store, options: argparse.Namespace) -> int:
    """Check a version, and add the checksum over the whole version if it has none."""
    ref = ModelRef.parse(options.ref)
    if store.sealed(ref):
        print(f"{store.verify(ref).ref} is sealed already")
    else:
        print(f"{store.seal(ref).ref} is sealed")
    return 0


def resolve(store: Store, options: argparse.Namespace) -> int:
    """Print the version that a reference means now, as `name@version`."""
    print(store.resolve(ModelRef.parse(options.ref)))
    return 0


def promote(store: Store, options: argparse.Namespace) -> int:
    """Check a version and point an alias at it."""
    manifest = store.verify(ModelRef.parse(options.ref))
    name, version = manifest.name, manifest.version
    before = store.aliases(name).get(options.alias)
    store.set_alias(name, options.alias, version)
    was = f" (was {before})" if before not in {None, version} else ""
    print(f"{name}@{options.alias} is version {version}{was}")
    return 0


def _summary(manifest: Manifest) -> str:
    return f"{manifest.ref}  {len(manifest.files)} files, {size_bytes(manifest):,} bytes"


def _unsealed(manifest: Manifest) -> str:
    return (
        ", unsealed: nothing would show a change of manifest.json; if you trust it, run "
        f"`python -m model_store seal {manifest.ref}`"
    )


def _proved(manifest: Manifest, executors: Sequence[str]) -> str:
    if manifest.arithmetic == "float":
        return ""
    return f", {manifest.arithmetic} proved, golden hashes by {', '.join(executors)}"


def add_options(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the options of one command, such as `list`."""
    text, run, add = _COMMANDS[name]
    parser.description = parser.description or f"{text[0].upper()}{text[1:]}."
    parser.set_defaults(run=run)
    parser.add_argument("--store", default=argparse.SUPPRESS, metavar="STORE", help=STORE_HELP)
    add(parser)


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=prog,
        description=__doc__,
        epilog="Further commands, with options of their own: export, import.",
    )
    add_store_option(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=ArgumentParser)
    for name, (text, _, _) in _COMMANDS.items():
        add_options(
            commands.add_parser(name, help=text, description=cli_options.DESCRIPTIONS.get(name)),
            name,
        )
    return parser


Run = Callable[[Store, argparse.Namespace], int]
AddOptions = Callable[[argparse.ArgumentParser], None]

_COMMANDS: dict[str, tuple[str, Run, AddOptions]] = {
    "list": (
        "print one line for each version: quality of its samples, size, age",
        list_versions,
        cli_options.list_options,
    ),
    "show": ("print the card of a version", show, cli_options.show_options),
    "verify": ("check every file and every weight", verify, cli_options.verify_options),
    "push": ("copy versions to another store", push, cli_options.copy_options("--to")),
    "pull": ("copy versions from another store", pull, cli_options.copy_options("--from")),
    "sync": ("copy all versions and aliases to another store", sync, cli_options.sync_options),
    "seal": (
        "add the checksum over the whole version to one that was published without it",
        seal,
        cli_options.seal_options,
    ),
    "resolve": (
        "print the version that a reference means now",
        resolve,
        cli_options.resolve_options,
    ),
    "promote": ("point an alias at a version, or roll back", promote, cli_options.promote_options),
    "rm": ("remove versions that no alias names", remove, cli_options.remove_options),
    "rename": ("give a model another name", rename, cli_options.rename_options),
    "prune": ("remove versions that no alias names", prune, cli_options.prune_options),
}


if __name__ == "__main__":
    sys.exit(main())
