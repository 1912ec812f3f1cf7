"""The state of a run on disk, between two epochs: what `--resume` goes on from.

    checkpoint-0007.safetensors   the tensors of `Trainer.state`
    checkpoint-0007.json          what is trained, how far it is, SHA-256 of the former

The JSON is written last, and a file appears by renaming a complete one: a checkpoint whose JSON
is there is whole, and what a killed process leaves is a file that nobody reads.
"""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from model_store.spec import Frozen
from training.config import Preset
from training.errors import CheckpointError
from training.fitting.trainer import EpochDone

KEPT = 2
"""Checkpoints of a run: the last one, and the one before in case it is damaged."""

_NAME = re.compile(r"checkpoint-(\d{4,})\.json")


class Progress(Frozen):
    """What is trained and how far it is; the part of a checkpoint that people can read."""

    format_version: int = 1
    preset_name: str
    preset: Preset
    seed: int
    data_sha256: str
    """Of the pixels of both splits."""
    device: str
    threads: int
    libraries: dict[str, str]
    source_commit: str | None
    history: tuple[EpochDone, ...]
    duration_s: float
    published: str | None = None
    """`name@version`, once it is."""

    @property
    def epoch(self) -> int:
        """Epochs that are behind."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left."""
        return self.epoch >= self.preset.optimiser.epochs


class _File(Frozen):
    """checkpoint-*.json."""

    sha256: str
    progress: Progress


@dataclass(frozen=True)
class Checkpoint:
    """A state to go on from."""

    progress: Progress
    tensors: Mapping[str, Tensor]
    damaged: tuple[str, ...] = ()
    """What was wrong with newer ones."""


def save(folder: Path, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Write the checkpoint of an epoch, then remove those that are no longer needed.

    Raises CheckpointError where the disk refuses; older checkpoints are then as they were.
    """
    stem = f"checkpoint-{progress.epoch:04}"
    content = safetensors.torch.save(dict(tensors))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / f"{stem}.safetensors", content)
        write_progress(folder, progress, hashlib.sha256(content).hexdigest())
        for epoch in _epochs(folder)[:-KEPT]:
            _remove(folder, epoch)
    except OSError as error:
        older = [epoch for epoch in _epochs(folder) if epoch < progress.epoch]
        remains = (
            f"the checkpoint of epoch {older[-1]} is still there: make room and go on with --resume"
            if older
            else "there is no earlier one; choose another --runs-dir"
        )
        raise CheckpointError(
            f"cannot write the checkpoint of epoch {progress.epoch} into {folder}: "
            f"{error.strerror or error}; {remains}"
        ) from error


def write_progress(folder: Path, progress: Progress, sha256: str) -> None:
    """Write the JSON beside tensors that are there; raises OSError."""
    file = _File(sha256=sha256, progress=progress)
    path = folder / f"checkpoint-{progress.epoch:04}.json"
    write_atomically(path, (file.model_dump_json(indent=2) + "\n").encode())


def mark_as_published(folder: Path, progress: Progress, ref: str) -> None:
    """Note the version that came of the last checkpoint; a refusing disk is no harm."""
    try:
        file = _read_json(folder, progress.epoch)
        write_progress(folder, progress.model_copy(update={"published": ref}), file.sha256)
    except (CheckpointError, OSError):
        return


def peek(folder: Path) -> Progress | None:
    """How far the run in a folder is, without its tensors; None where there is no checkpoint."""
    for epoch in reversed(_epochs(folder)):
        try:
            return _read_json(folder, epoch).progress
        except CheckpointError:
            continue
    return None


def load(folder: Path) -> Checkpoint:
    """The newest checkpoint that is whole; raises CheckpointError where there is none."""
    damaged: list[str] = []
    for epoch in reversed(_epochs(folder)):
        try:
            file = _read_json(folder, epoch)
            return Checkpoint(file.progress, _read_tensors(folder, epoch, file), tuple(damaged))
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError(f"{damaged[0]}; no whole checkpoint is left, start with --restart")
    raise CheckpointError(f"no checkpoint in {folder}")


def clear(folder: Path) -> None:
    """Remove all checkpoints of a run; raises CheckpointError."""
    try:
        for epoch in _epochs(folder):
            _remove(folder, epoch)
    except OSError as error:
        raise CheckpointError(f"cannot empty {folder}: {error.strerror or error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """The file is there, whole and on the disk, or as it was; raises OSError."""
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _epochs(folder: Path) -> list[int]:
    """Of the checkpoints in a folder, ascending."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:
        return []
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, names) if match)


def _read_json(folder: Path, epoch: int) -> _File:
    path = folder / f"checkpoint-{epoch:04}.json"
    try:
        return _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: it cannot be read") from error


def _read_tensors(folder: Path, epoch: int, file: _File) -> dict[str, Tensor]:
    path = folder / f"checkpoint-{epoch:04}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise CheckpointError(
            f"the checkpoint {path} is damaged: its SHA-256 is not the one in its .json"
        )
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {error}") from error


def _remove(folder: Path, epoch: int) -> None:
    (folder / f"checkpoint-{epoch:04}.json").unlink(missing_ok=True)  # first: it vouches
    (folder / f"checkpoint-{epoch:04}.safetensors").unlink(missing_ok=True)
