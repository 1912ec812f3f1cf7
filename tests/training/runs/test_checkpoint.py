import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import safetensors.torch
import torch

from model_store.vae import VAE
from training.config import Preset, load_preset
from training.errors import CheckpointError
from training.fitting.events import Averages, EpochDone
from training.runs.checkpoint import RunState, best_epoch, load, load_epoch, save


def run_state(
    epoch: int, losses: Sequence[float] = (3.0,) * 9, preset: Preset | None = None
) -> RunState:
    averages = [Averages(loss=loss, reconstruction=2.0, kl=1.0) for loss in losses[:epoch]]
    history = tuple(EpochDone(n, each, each, 1.0) for n, each in enumerate(averages, start=1))
    return RunState(
        preset_name="lab",
        preset=preset or load_preset("lab"),
        seed=0,
        data_sha256="0" * 64,
        device="cpu",
        threads=1,
        libraries={},
        source_commit=None,
        history=history,
        duration_s=1.0,
    )


def state(vae: VAE, value: float) -> dict[str, torch.Tensor]:
    return {name: torch.full_like(weight, value) for name, weight in vae.state_dict().items()}


def test_the_newest_checkpoint_is_loaded_and_the_two_newest_are_kept(tmp_path: Path, vae: VAE):
    for epoch in (1, 2, 3):
        save(tmp_path, run_state(epoch), state(vae, epoch))
    newest = load(tmp_path)
    assert newest.state == run_state(3)
    assert all((tensor == 3.0).all() for tensor in newest.tensors.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-0002.json",
        "checkpoint-0002.safetensors",
        "checkpoint-0003.json",
        "checkpoint-0003.safetensors",
    ]


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_previous_one_is_used(
    tmp_path: Path, vae: VAE, suffix: str, how: str
):
    for epoch in (1, 2):
        save(tmp_path, run_state(epoch), state(vae, epoch))
    path = tmp_path / f"checkpoint-0002.{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[:-5] if how == "cut" else content.replace(b"e", b"f"))
    if how == "gone":
        path.unlink()
    newest = load(tmp_path)
    assert newest.state.epoch == 1
    if (suffix, how) != ("json", "gone"):  # without its JSON it never was a checkpoint
        assert str(path) in newest.damaged[0]
        assert "damaged" in newest.damaged[0]


def test_if_all_checkpoints_are_damaged_the_error_names_one_and_the_remedy(
    tmp_path: Path, vae: VAE
):
    save(tmp_path, run_state(1), state(vae, 1))
    (tmp_path / "checkpoint-0001.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint-0001\.safetensors.*--restart"):
        load(tmp_path)


def test_the_error_for_a_full_disk_names_the_checkpoint_that_remains(
    tmp_path: Path, vae: VAE, monkeypatch: pytest.MonkeyPatch
):
    save(tmp_path, run_state(1), state(vae, 1))
    before = sorted(tmp_path.iterdir())

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left.*epoch 1 is still there.*--resume"):
        save(tmp_path, run_state(2), state(vae, 2))
    assert sorted(tmp_path.iterdir()) == before
    assert load(tmp_path).state.epoch == 1


def test_a_checkpoint_is_safetensors(tmp_path: Path, vae: VAE):
    save(tmp_path, run_state(1), state(vae, 1))
    content = (tmp_path / "checkpoint-0001.safetensors").read_bytes()
    assert safetensors.torch.load(content).keys() == vae.state_dict().keys()


def test_the_best_checkpoint_by_test_loss_is_kept_beside_the_two_newest(tmp_path: Path, vae: VAE):
    losses = (5.0, 3.0, 4.0, 4.5, 6.0)
    for epoch in (1, 2, 3, 4, 5):
        save(tmp_path, run_state(epoch, losses), state(vae, epoch))
    kept = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert kept == ["checkpoint-0002", "checkpoint-0004", "checkpoint-0005"]
    best = load_epoch(tmp_path, best_epoch(run_state(5, losses)))
    assert all((tensor == 2.0).all() for tensor in best.tensors.values())
    assert load(tmp_path).state.epoch == 5


def test_a_better_epoch_replaces_the_best_checkpoint(tmp_path: Path, vae: VAE):
    losses = (2.0, 5.0, 4.0, 1.0, 3.0, 3.0)
    for epoch in range(1, 7):
        save(tmp_path, run_state(epoch, losses), state(vae, epoch))
    kept = sorted(path.stem for path in tmp_path.glob("*.json"))
    assert kept == ["checkpoint-0004", "checkpoint-0005", "checkpoint-0006"]


def test_the_best_epoch_is_among_those_that_were_measured_as_the_last_one_was():
    mnist = load_preset("mnist")
    changes = {"freeze_vae_epochs": 2, "prior_only_epochs": 3}
    preset = mnist.model_copy(
        update={
            "objective": mnist.objective.model_copy(update=changes),
            "optimiser": mnist.optimiser.model_copy(update={"epochs": 8}),
        }
    )
    losses = (1.0, 2.0, 5.0, 4.0, 4.5, 9.0, 7.0, 8.0)
    best = [best_epoch(run_state(epoch, losses, preset)) for epoch in range(9)]
    assert best == [0, 1, 1, 3, 4, 4, 6, 7, 7]
