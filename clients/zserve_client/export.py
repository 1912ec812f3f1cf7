"""Data sets made by a model: an ImageFolder of any size, in bounded memory, that can be resumed.

    FOLDER/3/000000.png ...    a folder for each label, `unlabelled` where none was asked for
    FOLDER/manifest.csv        a line for each image: file, label, seed, z0, z1, ...
    FOLDER/export.json         what was asked for, which weights answer, and whether it is complete

An image has its line once it is whole on disk, so a run that was cut goes on after the last line.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zserve_client.errors import InputError, LimitError, UnexpectedAnswerError
from zserve_client.operations import model as show_model
from zserve_client.results import SEEDS, Export
from zserve_client.wire import Call, Steps, as_params, ask, ask_json

if TYPE_CHECKING:
    import os

Progress = Callable[[int, int], None]
"""Is told how many images there are already, and how many there will be."""

UNLABELLED = "unlabelled"
_PIECE = 1000
"""Images of one request."""
_PLAN, _MANIFEST, _PART = "export.json", "manifest.csv", ".piece.zip.part"


@dataclass(frozen=True)
class Asked:
    """What the caller wants; None means that the service may choose."""

    n: int
    seed: int | None
    model: str | None
    labels: Sequence[str] | None
    temperature: float
    scale: int
    metadata: bool


@dataclass(frozen=True)
class Plan:
    """What the caller wants, once the service has said what it means: weights, seed, classes."""

    asked: Asked
    model: str
    seed: int
    labels: Sequence[str | None]
    complete: bool = False

    @property
    def total(self) -> int:
        """Images in all."""
        return self.asked.n * len(self.labels)

    def file(self, i: int) -> str:
        """Where image i goes; images are in the order of the labels."""
        label, place = divmod(i, self.asked.n)
        digits = max(6, len(str(self.asked.n - 1)))
        return f"{folder_of(self.labels[label])}/{place:0{digits}d}.png"

    def save(self, folder: Path) -> None:
        """Write it beside the images, whole or not at all."""
        part = folder / f".{_PLAN}.part"
        part.write_text(json.dumps(asdict(self), indent=1) + "\n")
        part.replace(folder / _PLAN)


def folder_of(label: str | None) -> str:
    """The folder of a class: its name, without what cannot be in the name of a folder."""
    if label is None:
        return UNLABELLED
    return re.sub(r"[^\w.-]+", "-", label).strip("-.") or "class"


def export(
    folder: str | os.PathLike[str],
    n: int,
    *,
    seed: int | None,
    model: str | None,
    labels: str | int | Sequence[str | int] | None,
    temperature: float,
    scale: int,
    metadata: bool,
    progress: Progress | None,
) -> Steps[Export]:
    """n images of each label into a folder; goes on where an equal export was cut."""
    folder = Path(folder)
    asked = Asked(n, seed, model, _as_list(labels), temperature, scale, metadata)
    if n < 1:
        raise InputError(f"n is {n}; ask for at least 1 image")
    plan = _resumed(folder, asked)
    if plan is None:
        plan = yield from _planned(asked)
        folder.mkdir(parents=True, exist_ok=True)
        plan.save(folder)
    done = 0 if not plan.complete else plan.total
    if not plan.complete:
        done = _mend_manifest(folder / _MANIFEST)
    at, piece, part = done, _PIECE, folder / _PART
    if progress:
        progress(at, plan.total)
    try:
        while at < plan.total:
            start = at % n
            count = min(piece, n - start)
            call = _piece(plan, plan.labels[at // n], start, count, part)
            try:
                yield from ask(call)
            except LimitError as error:
                if error.limit is None or not 1 <= error.limit < count:
                    raise
                piece = int(error.limit)
                continue
            _unpack(folder, plan, at, count)
            at += count
            if progress:
                progress(at, plan.total)
    finally:
        part.unlink(missing_ok=True)
    if not plan.complete:
        Plan(asked, plan.model, plan.seed, plan.labels, complete=True).save(folder)
    return Export(
        folder=folder,
        model=plan.model,
        seed=plan.seed,
        labels=plan.labels,
        n=plan.total,
        fetched=plan.total - done,
    )


def _as_list(labels: str | int | Sequence[str | int] | None) -> list[str] | None:
    if labels is None:
        return None
    given = [labels] if isinstance(labels, str | int) else labels
    return [str(label) for label in given]


def _planned(asked: Asked) -> Steps[Plan]:
    """Ask for one image of each label: which weights answer, with which seed, for which class."""
    wanted: Sequence[str | None] = asked.labels or [None]
    if wanted == ["all"]:
        wanted = (yield from show_model(asked.model)).classes
        if not wanted:
            raise InputError("this model knows no classes: leave the label out")
    model, seed = asked.model, asked.seed
    labels: list[str | None] = []
    for label in wanted:
        params = as_params(n=1, seed=seed, model=model, label=label, format="json")
        found = yield from ask_json(Call("POST", "/generate", params))
        model, seed = str(found["model"]), int(found["seed"])
        if found["label"] not in labels:
            labels.append(found["label"])
    if model is None or seed is None or len({folder_of(each) for each in labels}) < len(labels):
        raise InputError(f"the classes {labels} cannot each have a folder: ask for them one by one")
    return Plan(asked, model, seed, labels)


def _resumed(folder: Path, asked: Asked) -> Plan | None:
    """The plan of an export that was begun with the same wishes; None for a new or empty folder."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        found: dict[str, Any] = json.loads((folder / _PLAN).read_text())
        plan = Plan(**{**found, "asked": Asked(**found["asked"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder} has something else in it; choose an empty folder") from error
    if plan.asked != asked:
        differing = [
            f"{name} {was!r}, not {now!r}"
            for (name, was), now in zip(
                asdict(plan.asked).items(), asdict(asked).values(), strict=True
            )
            if was != now
        ]
        raise InputError(
            f"{folder} holds another export ({'; '.join(differing)}); choose another folder"
        )
    return plan


def _mend_manifest(path: Path) -> int:
    """The images that are there; a line that was cut is cut off."""
    if not path.exists():
        return 0
    with path.open("rb+") as file:
        lines = whole = 0
        for line in file:
            if line.endswith(b"\n"):
                lines, whole = lines + 1, whole + len(line)
        file.truncate(whole)
    return max(0, lines - 1)


def _piece(plan: Plan, label: str | None, start: int, count: int, into: Path) -> Call:
    asked = plan.asked
    params = as_params(
        n=count,
        seed=(plan.seed + start) % SEEDS,
        model=plan.model,
        label=label,
        temperature=asked.temperature,
        scale=asked.scale,
        metadata=asked.metadata,
        format="zip",
    )
    return Call("POST", "/generate", params, into=into)


def _unpack(folder: Path, plan: Plan, at: int, count: int) -> None:
    """The images of one zip to their places, and then their lines to the manifest."""
    label = plan.labels[at // plan.asked.n]
    try:
        with zipfile.ZipFile(folder / _PART) as archive:
            header, *rows = _rows(archive)
            if len(rows) != count:
                raise UnexpectedAnswerError(f"{count} images were asked for, {len(rows)} came")
            (folder / plan.file(at)).parent.mkdir(exist_ok=True)
            for i, row in enumerate(rows, at):
                (folder / plan.file(i)).write_bytes(archive.read(row[0]))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UnexpectedAnswerError(f"the archive of the service is damaged: {error}") from error
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    if at == 0:
        writer.writerow(["file", "label", *header[1:]])
    for i, row in enumerate(rows, at):
        writer.writerow([plan.file(i), label or "", *row[1:]])
    with (folder / _MANIFEST).open("w" if at == 0 else "a", newline="") as manifest:
        manifest.write(lines.getvalue())


def _rows(archive: zipfile.ZipFile) -> Iterator[list[str]]:
    with archive.open("manifest.csv") as file:
        yield from csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
