"""Export a data set of any size into a folder, in bounded memory, and continue it later.

    FOLDER/3/000000.png ...    one folder for each label, or `unlabelled`
    FOLDER/manifest.csv        one line for each image: file, label, seed, z0, z1, ...
    FOLDER/export.json         the arguments, the weights, and whether the export is complete

An image gets its line in the manifest after it was written, so that an interrupted export
continues after the last complete line. An export with a larger n goes on where the one before ended:
the images that are there stay as they are, and the lines of the new ones follow.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from zserve_client._requests import MODELS, Request, post, version_request
from zserve_client._responses import (
    check,
    default_model,
    read_json,
    read_models,
    read_version,
    smaller_count,
)
from zserve_client._results import SEED_COUNT, Export
from zserve_client._steps import Steps
from zserve_client.errors import InputError, UnexpectedAnswerError

ProgressCallback = Callable[[int, int], None]
"""Is called with the number of images in the folder and the number at the end."""

UNLABELLED = "unlabelled"
PLAN_FILE, MANIFEST_FILE, ARCHIVE_FILE = "export.json", "manifest.csv", ".piece.zip.part"
IMAGES_PER_REQUEST = 1000


@dataclass(frozen=True)
class ExportOptions:
    """The arguments of an export; None leaves the choice to the service."""

    n: int
    seed: int | None
    model: str | None
    labels: str | int | Sequence[str | int] | None
    temperature: float
    scale: int
    metadata: bool

    def __post_init__(self) -> None:
        if self.n < 1:
            raise InputError(f"n is {self.n}; ask for at least 1 image")
        if self.labels is not None:
            labels = [self.labels] if isinstance(self.labels, str | int) else self.labels
            object.__setattr__(self, "labels", [str(label) for label in labels])


@dataclass(frozen=True)
class Place:
    """Label and number of an image in an export.

    Attributes:
        label: Name of its class.
        number: Its number among the images of the label; it has the seed of the plan + number.
        end: Value of n in the call that fetches the image; file names have enough digits for it.
    """

    label: str | None
    number: int
    end: int

    @property
    def file(self) -> str:
        """Return the path in the folder."""
        digits = max(6, len(str(self.end - 1)))
        return f"{label_folder(self.label)}/{self.number:0{digits}d}.png"


@dataclass(frozen=True)
class Plan:
    """The arguments of an export, with the weights, seed and classes that the service chose.

    `grown` has each n with which the export was called before, ascending. Images are in the order in
    which they are fetched: for each n, label after label.
    """

    options: ExportOptions
    model: str
    seed: int
    labels: Sequence[str | None]
    complete: bool = False
    grown: Sequence[int] = ()

    @property
    def total(self) -> int:
        """Return the number of images of all labels."""
        return self.options.n * len(self.labels)

    def place(self, i: int) -> Place:
        """Return where image i is."""
        bounds = [0, *self.grown, self.options.n]
        for start, end in itertools.pairwise(bounds):
            before, images = start * len(self.labels), (end - start) * len(self.labels)
            if i < before + images:
                label, number = divmod(i - before, end - start)
                return Place(self.labels[label], start + number, end)
        raise IndexError(i)

    def with_more(self, n: int) -> Plan:
        """Return the plan of an export that goes on to n images of each label."""
        options = replace(self.options, n=n)
        return replace(self, options=options, grown=[*self.grown, self.options.n], complete=False)

    def request(self, first: int, count: int, archive: Path) -> Request:
        """Return the request for `count` images from image `first`, as a zip archive."""
        place = self.place(first)
        seed = (self.seed + place.number) % SEED_COUNT
        samples = {"n": count, "seed": seed, "model": self.model, "label": place.label}
        output = {
            "temperature": self.options.temperature,
            "scale": self.options.scale,
            "metadata": self.options.metadata,
            "format": "zip",
        }
        request = post("/generate", samples, output)
        return replace(request, save_to=archive)

    def save(self, folder: Path) -> None:
        """Replace the plan file of a folder atomically."""
        document = asdict(self)
        document = {"asked": document.pop("options"), **document}
        if not self.grown:
            del document["grown"]
        part = folder / f".{PLAN_FILE}.part"
        part.write_text(json.dumps(document, indent=1) + "\n")
        part.replace(folder / PLAN_FILE)


def label_folder(label: str | None) -> str:
    """Return the folder name of a class: its name without characters that are unsafe in paths."""
    if label is None:
        return UNLABELLED
    return re.sub(r"[^\w.-]+", "-", label).strip("-.") or "class"


def export(
    folder: Path, options: ExportOptions, progress: ProgressCallback | None
) -> Steps[Export]:
    """Export images into a folder, and continue an interrupted export with the same options."""
    plan = read_plan(folder, options)
    if plan is None:
        plan = yield from make_plan(options)
        folder.mkdir(parents=True, exist_ok=True)
        plan.save(folder)
    present = plan.total if plan.complete else repair_manifest(folder / MANIFEST_FILE)
    yield from _fetch(folder, plan, present, progress or (lambda _present, _total: None))
    if not plan.complete:
        replace(plan, complete=True).save(folder)
    return Export(
        folder=folder,
        model=plan.model,
        seed=plan.seed,
        labels=plan.labels,
        n=plan.total,
        fetched=plan.total - present,
    )


def make_plan(options: ExportOptions) -> Steps[Plan]:
    """Request one image of each label, to learn the weights, the seed and the class names."""
    requested: Any = options.labels or [None]
    if requested == ["all"]:
        requested = yield from _classes(options.model)
    model, seed = options.model, options.seed
    labels: list[str | None] = []
    for label in requested:
        params = {"n": 1, "seed": seed, "model": model, "label": label, "format": "json"}
        sample = read_json(check((yield post("/generate", params))))
        model, seed = str(sample["model"]), int(sample["seed"])
        if sample["label"] not in labels:
            labels.append(sample["label"])
    if model is None or seed is None or len(set(map(label_folder, labels))) < len(labels):
        raise InputError(f"the classes {labels} need separate folders: export them one by one")
    return Plan(options, model, seed, labels)


def _classes(model: str | None) -> Steps[Sequence[str]]:
    if model is None:
        model = default_model(read_models(check((yield MODELS)))).ref
    classes = read_version(check((yield version_request(model)))).classes
    if not classes:
        raise InputError("this model was trained without labels: leave the label out")
    return classes


def read_plan(folder: Path, options: ExportOptions) -> Plan | None:
    """Return the plan of an interrupted export, or None for a new or empty folder.

    Raises InputError if the folder holds anything else, or an export with other options.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        document: dict[str, Any] = json.loads((folder / PLAN_FILE).read_text())
        plan = Plan(options=ExportOptions(**document.pop("asked")), **document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} holds other files; choose an empty folder") from error
    if options.n > plan.options.n and replace(plan.options, n=options.n) == options:
        plan = plan.with_more(options.n)
        plan.save(folder)
    if plan.options != options:
        before, now = asdict(plan.options), asdict(options)
        changes = [
            f"{name} {before[name]!r}, not {now[name]!r}"
            for name in before
            if before[name] != now[name]
        ]
        raise InputError(
            f"{folder} holds another export ({'; '.join(changes)}); repeat its options, with a "
            "larger n if it should grow, or choose another folder"
        )
    return plan


def repair_manifest(path: Path) -> int:
    """Remove an incomplete last line, and return the number of images in the manifest."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        lines = size = 0
        for line in file:
            if line.endswith(b"\n"):
                lines, size = lines + 1, size + len(line)
        file.truncate(size)
    return max(0, lines - 1)


def _fetch(folder: Path, plan: Plan, present: int, progress: ProgressCallback) -> Steps[None]:
    """Fetch the missing images, in smaller archives if the service limits their size."""
    archive, largest = folder / ARCHIVE_FILE, IMAGES_PER_REQUEST
    progress(present, plan.total)
    try:
        while present < plan.total:
            place = plan.place(present)
            count = min(largest, place.end - place.number)
            reply = yield plan.request(present, count, archive)
            if smaller := smaller_count(reply, count):
                largest = smaller
                continue
            _unpack(archive, folder, plan, present, count)
            present += count
            progress(present, plan.total)
    finally:
        archive.unlink(missing_ok=True)


def _unpack(path: Path, folder: Path, plan: Plan, first: int, count: int) -> None:
    """Write the images of an archive to their places, and then their lines to the manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            header, *rows = _manifest_rows(archive)
            if len(rows) != count:
                raise UnexpectedAnswerError(f"expected {count} images, the archive has {len(rows)}")
            (folder / plan.place(first).file).parent.mkdir(exist_ok=True)
            for i, row in enumerate(rows, first):
                (folder / plan.place(i).file).write_bytes(archive.read(row[0]))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UnexpectedAnswerError(f"the archive of the service is damaged: {error}") from error
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if first == 0:
        writer.writerow(["file", "label", *header[1:]])
    for i, row in enumerate(rows, first):
        place = plan.place(i)
        writer.writerow([place.file, place.label or "", *row[1:]])
    with (folder / MANIFEST_FILE).open("w" if first == 0 else "a", newline="") as manifest:
        manifest.write(text.getvalue())


def _manifest_rows(archive: zipfile.ZipFile) -> Iterator[list[str]]:
    with archive.open("manifest.csv") as file:
        yield from csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
