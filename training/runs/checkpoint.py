"""Checkpoints: the state of a run after an epoch, from which `--resume` continues.

    checkpoint-0007.safetensors   the tensors of `Trainer.state`
    checkpoint-0007.json          the RunState, and the SHA-256 of the tensors file

Every file is completed under another name and then renamed, the JSON last. A checkpoint with a JSON
file is therefore complete, and the leftovers of a killed process are never read.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from model_store.durable_files import replace_durably
from model_store.spec import Frozen
from training.config import Preset
from training.errors import CheckpointError
from training.fitting.events import EpochDone
from training.fitting.schedule import is_flow_only

KEPT = 2
"""Number of newest checkpoints to keep: the last, and the one before in case it is damaged. The one
with the lowest test loss is kept as well."""

_NAME = re.compile(r"checkpoint-(\d{4,})\.json")


class RunState(Frozen):
    """The readable part of a checkpoint: settings of the run, and the epochs that are done."""

    format_version: int = 1
    preset_name: str
    preset: Preset
    """The preset, with what was chosen instead of `auto`."""
    seed: int
    data_sha256: str
    """SHA-256 of the pixels of both splits."""
    device: str
    threads: int
    compute_choice: str = ""
    """Reasons for the number of threads and for what was chosen instead of `auto`."""
    libraries: dict[str, str]
    source_commit: str | None
    history: tuple[EpochDone, ...]
    duration_s: float
    published: str | None = None
    """`name@version` after publishing, else None."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """True if no epoch remains."""
        return self.epoch >= self.preset.optimiser.epochs


class _File(Frozen):
    """Content of checkpoint-*.json."""

    sha256: str
    """SHA-256 of the tensors file."""
    progress: RunState


@dataclass(frozen=True)
class Checkpoint:
    """A state to resume from."""

    state: RunState
    tensors: Mapping[str, Tensor]
    damaged: tuple[str, ...] = ()
    """Messages about newer checkpoints that are damaged."""


def save(folder: Path, state: RunState, tensors: Mapping[str, Tensor]) -> None:
    """Write the checkpoint of an epoch, then remove old ones.

    Raises CheckpointError if writing fails; older checkpoints are then unchanged.
    """
    stem = f"checkpoint-{state.epoch:04}"
    content = safetensors.torch.save(dict(tensors))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_durably(folder / f"{stem}.safetensors", content)
        write_state(folder, state, hashlib.sha256(content).hexdigest())
        for epoch in _epochs(folder)[:-KEPT]:
            if epoch != best_epoch(state):
                _remove(folder, epoch)
    except OSError as error:
        older = [epoch for epoch in _epochs(folder) if epoch < state.epoch]
        remains = (
            f"the checkpoint of epoch {older[-1]} is still there: free some space and continue with --resume"
            if older
            else "there is no earlier checkpoint; choose another --runs-dir"
        )
        raise CheckpointError(
            f"cannot write the checkpoint of epoch {state.epoch} into {folder}: "
            f"{error.strerror or error}; {remains}"
        ) from error


def best_epoch(state: RunState) -> int:
    """Return the epoch with the lowest test loss, the last of several; 0 before the first one.

    Epochs of the flow alone are measured on grey images, and the others on `objective.targets`. Only the
    epochs since the last change from one to the other are therefore compared.
    """

    def flow_only(done: EpochDone) -> bool:
        return is_flow_only(state.preset.objective, state.preset.optimiser, done.epoch)

    if not state.history:
        return 0
    last = flow_only(state.history[-1])
    comparable = takewhile(lambda done: flow_only(done) == last, reversed(state.history))
    return min(comparable, key=lambda done: (done.test.loss, -done.epoch)).epoch


def write_state(folder: Path, state: RunState, sha256: str) -> None:
    """Write the JSON file of a checkpoint whose tensors are written; raises OSError."""
    file = _File(sha256=sha256, progress=state)
    path = folder / f"checkpoint-{state.epoch:04}.json"
    replace_durably(path, (file.model_dump_json(indent=2) + "\n").encode())


def mark_as_published(folder: Path, state: RunState, ref: str) -> None:
    """Record the published version in the last checkpoint; write errors are ignored."""
    try:
        file = _read_json(folder, state.epoch)
        write_state(folder, state.model_copy(update={"published": ref}), file.sha256)
    except (CheckpointError, OSError):
        return


def peek(folder: Path) -> RunState | None:
    """Read the state of the run in a folder without its tensors; None without a checkpoint."""
    for epoch in reversed(_epochs(folder)):
        try:
            return _read_json(folder, epoch).progress
        except CheckpointError:
            continue
    return None


def load(folder: Path) -> Checkpoint:
    """Read the newest intact checkpoint; raises CheckpointError if there is none."""
    damaged: list[str] = []
    for epoch in reversed(_epochs(folder)):
        try:
            file = _read_json(folder, epoch)
            return Checkpoint(file.progress, _read_tensors(folder, epoch, file), tuple(damaged))
        except CheckpointError as error:
            damaged.append(str(error))
    if damaged:
        raise CheckpointError(
            f"{damaged[0]}; no intact checkpoint is left; start again with --restart"
        )
    raise CheckpointError(f"no checkpoint in {folder}")


def load_epoch(folder: Path, epoch: int) -> Checkpoint:
    """Read the checkpoint of one epoch; raises CheckpointError."""
    file = _read_json(folder, epoch)
    return Checkpoint(file.progress, _read_tensors(folder, epoch, file))


def clear(folder: Path) -> None:
    """Remove all checkpoints of a run; raises CheckpointError."""
    try:
        for epoch in _epochs(folder):
            _remove(folder, epoch)
    except OSError as error:
        raise CheckpointError(f"cannot empty {folder}: {error.strerror or error}") from error


def _epochs(folder: Path) -> list[int]:
    """Return the epochs of the checkpoints in a folder, ascending."""
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
            f"the checkpoint {path} is damaged: its SHA-256 differs from the one in its .json"
        )
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise CheckpointError(f"the checkpoint {path} is damaged: {error}") from error


def _remove(folder: Path, epoch: int) -> None:
    (folder / f"checkpoint-{epoch:04}.json").unlink(
        missing_ok=True
    )  # first, because a JSON file means that its tensors are complete
    (folder / f"checkpoint-{epoch:04}.safetensors").unlink(missing_ok=True)
