"""List the versions of a store, show, check, seal, promote and copy them."""

import argparse
import os
import sys
from collections.abc import Sequence

from model_store.arithmetic import golden
from model_store.errors import CorruptVersionError, PublishError, StoreError
from model_store.sample_quality import (
    NOT_MEASURED,
    SampleQuality,
    best_samples,
    sample_quality,
)
from model_store.spec import PRODUCTION, Manifest, ModelRef
from model_store.store.locations import open_store
from model_store.store.store import Store
from model_store.store.transfer import copy_aliases, copy_version, differences, select


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit status.

    The status is 0 on success, 1 if a version fails its checks or cannot be copied, and 2 if the
    named version does not exist, the store does not answer, or an argument is wrong.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(open_store(options.store), options))
    except StoreError as error:
        print(f"model_store: {error}", file=sys.stderr)
        return 1 if isinstance(error, CorruptVersionError) else 2


def list_versions(store: Store, _options: argparse.Namespace) -> int:
    """Print one line for each version, with the quality of its samples."""
    row = "{:<20} {:>8}  {:<20} {:<14} {:<13} {:<10} {:<10} {:>7}  {}".format
    titles = ("PUBLISHED", "DATASET", "SAMPLES", "FRECHET", "ARITHMETIC", "MB", "ALIASES")
    print(row("NAME", "VERSION", *titles))
    entries = {ref: _manifest_or_error(store, ref) for ref in _all_versions(store)}
    best = best_samples(
        {r: sample_quality(entry) for r, entry in entries.items() if isinstance(entry, Manifest)}
    )
    for ref, entry in entries.items():
        aliases = store.aliases(ref.name).items()
        marks = ", ".join(alias for alias, version in sorted(aliases) if version == ref.version)
        if not isinstance(entry, Manifest):
            print(row(ref.name, ref.version, f"DAMAGED: {entry}", "", "", "", "", "", marks))
            continue
        published = f"{entry.created_at:%Y-%m-%d %H:%M} UTC"
        samples, distance = _samples(sample_quality(entry), best=ref in best)
        columns = (published, entry.training.dataset, samples, distance, entry.arithmetic)
        print(row(ref.name, ref.version, *columns, f"{_size_bytes(entry) / 1e6:.1f}", marks))
    return 0


def _manifest_or_error(store: Store, ref: ModelRef) -> Manifest | CorruptVersionError:
    try:
        return store.manifest(ref)
    except CorruptVersionError as error:
        return error


def _samples(quality: SampleQuality | None, *, best: bool) -> tuple[str, str]:
    """Return the columns SAMPLES and FRECHET."""
    if quality is None:
        return NOT_MEASURED, "-"
    return (
        f"{100 * quality.recognisable:.0f} %",
        f"{quality.frechet_distance:.2f}{' best' if best else ''}",
    )


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
    refs = [ModelRef.parse(options.ref)] if options.ref else _all_versions(store)
    failures = 0
    for ref in refs:
        try:
            manifest = store.verify(ref, executors)
            unsealed = "" if store.sealed(ref) else _unsealed(manifest)
            print(f"ok      {_summary(manifest)}{_proved(manifest, executors)}{unsealed}")
        except StoreError as error:
            failures += 1
            print(f"FAILED  {error}")
    print(f"{len(refs) - failures} of {len(refs)} versions are sound in {store}")
    if options.against is not None:
        lines = list(differences(store, refs, open_store(options.against)))
        failures += len(lines)
        print("\n".join(lines) or f"{options.against} has the same, with the same aliases")
    return 1 if failures else 0


def push(store: Store, options: argparse.Namespace) -> int:
    """Copy versions to another store."""
    return _transfer(store, open_store(options.to), options.refs, aliases=options.aliases)


def pull(store: Store, options: argparse.Namespace) -> int:
    """Copy versions from another store."""
    source = open_store(getattr(options, "from"))
    return _transfer(source, store, options.refs, aliases=options.aliases)


def sync(store: Store, options: argparse.Namespace) -> int:
    """Copy all versions and aliases to another store."""
    return _transfer(store, open_store(options.to), (), aliases=True)


def _transfer(source: Store, target: Store, references: Sequence[str], *, aliases: bool) -> int:
    """Copy versions, and then aliases: a reader never sees an alias before its version."""
    refs = select(source, references)
    copied, failed = 0, set()
    for ref in refs:
        try:
            if copy_version(source, ref, target):
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
    print(f"{copied} versions copied from {source} to {target}, {there} were there already")
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


def _all_versions(store: Store) -> list[ModelRef]:
    return [
        ModelRef(name=name, version=version)
        for name in store.names()
        for version in store.versions(name)
    ]


def _summary(manifest: Manifest) -> str:
    return f"{manifest.ref}  {len(manifest.files)} files, {_size_bytes(manifest):,} bytes"


def _unsealed(manifest: Manifest) -> str:
    return (
        ", unsealed: nothing would show a change of manifest.json; if you trust it, run "
        f"`python -m model_store seal {manifest.ref}`"
    )


def _proved(manifest: Manifest, executors: Sequence[str]) -> str:
    if manifest.arithmetic == "float":
        return ""
    return f", {manifest.arithmetic} proved, golden hashes by {', '.join(executors)}"


def _size_bytes(manifest: Manifest) -> int:
    return sum(file.size_bytes for file in manifest.files.values())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m model_store", description=__doc__)
    parser.add_argument(
        "--store",
        default=os.environ.get("ZSERVE_STORE") or None,
        metavar="STORE",
        help="folder of the models, or address of an object store such as s3://bucket/prefix "
        "(default: ZSERVE_STORE, or the models you trained, in models/, together with the shipped "
        "ones)",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "list",
        help="print one line for each version, with the quality of its samples",
        description="Print one line for each version. SAMPLES: how recognisable samples are, "
        "relative to test images. FRECHET: their distance from test images; lower is better. Both "
        "are comparable only within one data set, whose best version is marked.",
    )
    command.set_defaults(run=list_versions)

    command = commands.add_parser("show", help="print the card of a version")
    command.add_argument("ref", metavar="NAME[@VERSION|@ALIAS]")
    command.add_argument("--json", action="store_true", help="print the manifest instead")
    command.set_defaults(run=show)

    command = commands.add_parser("verify", help="check every file and every weight")
    command.add_argument("ref", metavar="NAME[@VERSION|@ALIAS]", nargs="?", help="default: all")
    command.add_argument(
        "--executor",
        choices=[*golden.EXECUTORS, "all"],
        default=golden.fastest_installed(),
        help="what computes the golden hashes of exact versions again; all: whatever is installed "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--against",
        metavar="STORE",
        help="also compare the manifests and aliases with those of another store",
    )
    command.set_defaults(run=verify)

    for name, run, option, text in (
        ("push", push, "--to", "copy versions to another store"),
        ("pull", pull, "--from", "copy versions from another store"),
    ):
        command = commands.add_parser(
            name,
            help=text,
            description="Copy versions with their numbers and bytes. Versions that are there already "
            "are skipped, so a copy that was interrupted is continued by the same command.",
        )
        command.add_argument(
            "refs",
            metavar="NAME[@VERSION|@ALIAS]",
            nargs="*",
            help="a bare name means all of its versions (default: all versions of all models)",
        )
        command.add_argument(option, metavar="STORE", required=True, help="folder or address")
        command.add_argument("--aliases", action="store_true", help="copy their aliases as well")
        command.set_defaults(run=run)

    command = commands.add_parser("sync", help="copy all versions and aliases to another store")
    command.add_argument("--to", metavar="STORE", required=True, help="folder or address")
    command.set_defaults(run=sync)

    command = commands.add_parser(
        "seal", help="add the checksum over the whole version to one that was published without it"
    )
    command.add_argument("ref", metavar="NAME@VERSION")
    command.set_defaults(run=seal)

    command = commands.add_parser("resolve", help="print the version that a reference means now")
    command.add_argument("ref", metavar="NAME[@VERSION|@ALIAS]")
    command.set_defaults(run=resolve)

    command = commands.add_parser("promote", help="point an alias at a version, or roll back")
    command.add_argument("ref", metavar="NAME@VERSION")
    command.add_argument("--alias", default=PRODUCTION, help="default: %(default)s")
    command.set_defaults(run=promote)
    return parser


if __name__ == "__main__":
    sys.exit(main())
