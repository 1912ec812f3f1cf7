"""Print the versions of a store: quality of the samples, size and age."""

import argparse
import json
from datetime import UTC, datetime, timedelta

from model_store.errors import CorruptVersionError
from model_store.sample_quality import (
    NOT_MEASURED,
    SampleQuality,
    best_samples,
    sample_quality,
)
from model_store.spec import Manifest, ModelRef
from model_store.store.store import Store
from model_store.store.transfer import select


def list_versions(store: Store, options: argparse.Namespace) -> int:
    """Print one line for each version: quality of its samples, size, age; return the exit status."""
    entries = {ref: manifest_or_error(store, ref) for ref in all_versions(store)}
    refs = select(store, options.names) if options.names else list(entries)
    if options.json:
        print(json.dumps([_as_json(store, ref, entries[ref]) for ref in refs], indent=1))
        return 0
    row = "{:<20} {:>8}  {:<20} {:>7}  {:<14} {:<13} {:<10} {:<10} {:>7}  {}".format
    titles = ("PUBLISHED", "AGE", "DATASET", "SAMPLES", "FRECHET", "ARITHMETIC", "MB", "ALIASES")
    print(row("NAME", "VERSION", *titles))
    best = best_samples(
        {r: sample_quality(entry) for r, entry in entries.items() if isinstance(entry, Manifest)}
    )
    for ref in refs:
        entry = entries[ref]
        marks = ", ".join(_aliases(store, ref))
        if not isinstance(entry, Manifest):
            print(row(ref.name, ref.version, f"DAMAGED: {entry}", "", "", "", "", "", "", marks))
            continue
        published = f"{entry.created_at:%Y-%m-%d %H:%M} UTC"
        samples, distance = _samples(sample_quality(entry), best=ref in best)
        age = _age(datetime.now(UTC) - entry.created_at)
        columns = (published, age, entry.training.dataset, samples, distance, entry.arithmetic)
        print(row(ref.name, ref.version, *columns, f"{size_bytes(entry) / 1e6:.1f}", marks))
    return 0


def _aliases(store: Store, ref: ModelRef) -> list[str]:
    """Return the aliases that name a version, sorted."""
    aliases = store.aliases(ref.name).items()
    return sorted(alias for alias, version in aliases if version == ref.version)


def _age(age: timedelta) -> str:
    """Return an age in its largest unit, such as `3 d`."""
    minutes = max(0, int(age.total_seconds() // 60))
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h"
    return f"{minutes // (24 * 60)} d"


def _as_json(
    store: Store, ref: ModelRef, entry: Manifest | CorruptVersionError
) -> dict[str, object]:
    """Return what `list --json` prints about a version; `damaged` is a sentence or null."""
    document: dict[str, object] = {"name": ref.name, "version": ref.version}
    document |= {"aliases": _aliases(store, ref), "damaged": None}
    if not isinstance(entry, Manifest):
        return document | {"damaged": str(entry)}
    quality = sample_quality(entry)
    return document | {
        "published": entry.created_at.isoformat(),
        "age_days": round((datetime.now(UTC) - entry.created_at) / timedelta(days=1), 3),
        "dataset": entry.training.dataset,
        "recognisable": None if quality is None else quality.recognisable,
        "frechet_distance": None if quality is None else quality.frechet_distance,
        "arithmetic": entry.arithmetic,
        "size_bytes": size_bytes(entry),
    }


def manifest_or_error(store: Store, ref: ModelRef) -> Manifest | CorruptVersionError:
    """Return the manifest of a version, or what is wrong with it."""
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


def all_versions(store: Store) -> list[ModelRef]:
    """Return every version of a store."""
    return [
        ModelRef(name=name, version=version)
        for name in store.names()
        for version in store.versions(name)
    ]


def size_bytes(manifest: Manifest) -> int:
    """Return the size of all files of a version."""
    return sum(file.size_bytes for file in manifest.files.values())
