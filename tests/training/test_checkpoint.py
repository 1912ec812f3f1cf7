import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from model_store.spec import ModelRef
from model_store.store import Store
from model_store.vae import VAE
from tests.training.conftest import start, write_mnist
from tests.training.test_cli import call
from training.config import load_preset
from training.errors import CheckpointError
from training.fitting.trainer import Averages, EpochDone
from training.runs import checkpoint
from training.runs.checkpoint import Progress, load, peek, save

TINY = (
    "--preset", "fashion", "--threads", "1", "--device", "cpu", "--no-tensorboard",
    "--evaluation", "quick", "--set", "data.train_images=256",
    "--set", "data.dataset=mnist", "--set", "model.network.channels=[4]",
    "--set", "model.network.hidden=8", "--set", "optimiser.batch_size=8",
)  # fmt: skip


def progress(epoch: int) -> Progress:
    averages = Averages(loss=3.0, reconstruction=2.0, kl=1.0)
    history = tuple(EpochDone(n, averages, averages, 1.0) for n in range(1, epoch + 1))
    return Progress(
        preset_name="lab",
        preset=load_preset("lab"),
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


def test_what_was_saved_last_is_loaded_and_the_two_newest_are_kept(tmp_path: Path, vae: VAE):
    for epoch in (1, 2, 3):
        save(tmp_path, progress(epoch), state(vae, epoch))
    found = load(tmp_path)
    assert found.progress == progress(3)
    assert all((tensor == 3.0).all() for tensor in found.tensors.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-0002.json",
        "checkpoint-0002.safetensors",
        "checkpoint-0003.json",
        "checkpoint-0003.safetensors",
    ]


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
@pytest.mark.parametrize("how", ["cut", "changed", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    tmp_path: Path, vae: VAE, suffix: str, how: str
):
    for epoch in (1, 2):
        save(tmp_path, progress(epoch), state(vae, epoch))
    path = tmp_path / f"checkpoint-0002.{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[:-5] if how == "cut" else content.replace(b"e", b"f"))
    if how == "gone":
        path.unlink()
    found = load(tmp_path)
    assert found.progress.epoch == 1
    if (suffix, how) != ("json", "gone"):  # without its JSON it never was a checkpoint
        assert str(path) in found.damaged[0]
        assert "damaged" in found.damaged[0]


def test_where_all_are_damaged_the_error_says_which_and_what_to_do(tmp_path: Path, vae: VAE):
    save(tmp_path, progress(1), state(vae, 1))
    (tmp_path / "checkpoint-0001.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint-0001\.safetensors.*--restart"):
        load(tmp_path)


def test_a_full_disk_is_an_error_that_names_the_checkpoint_that_is_still_there(
    tmp_path: Path, vae: VAE, monkeypatch: pytest.MonkeyPatch
):
    save(tmp_path, progress(1), state(vae, 1))
    before = sorted(tmp_path.iterdir())

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left.*epoch 1 is still there.*--resume"):
        save(tmp_path, progress(2), state(vae, 2))
    assert sorted(tmp_path.iterdir()) == before
    assert load(tmp_path).progress.epoch == 1


def test_a_checkpoint_is_no_pickle(tmp_path: Path, vae: VAE):
    save(tmp_path, progress(1), state(vae, 1))
    content = (tmp_path / "checkpoint-0001.safetensors").read_bytes()
    assert safetensors.torch.load(content).keys() == vae.state_dict().keys()


# --- runs ---


def wait_for_epoch(folder: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        done = peek(folder)
        if done is not None and done.epoch >= epoch:
            return
        time.sleep(0.002)
    process.kill()
    raise AssertionError(process.communicate())


def test_a_run_killed_within_an_epoch_and_resumed_ends_as_if_it_had_never_been_killed(
    tmp_path: Path, runs: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    places = ("--data-dir", str(data_dir), "--store", str(tmp_path))
    command = ("train", *TINY, *places, "--epochs", "8")
    assert call(monkeypatch, *command, "--name", "whole") == 0
    process = start(*command, "--name", "killed")
    wait_for_epoch(runs / "killed", 2, process)
    time.sleep(0.02)  # an epoch of 32 batches takes longer
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = peek(runs / "killed")
    assert done is not None
    assert 2 <= done.epoch < 8, "it was killed too late to mean something"
    assert Store(tmp_path).names() == ("whole",)
    assert call(monkeypatch, *command, "--name", "killed", "--resume") == 0

    states = [load(runs / name).tensors for name in ("whole", "killed")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    whole, killed = (Store(tmp_path).manifest(ModelRef.parse(n)) for n in ("whole", "killed"))
    assert whole.weights_sha256 == killed.weights_sha256
    assert whole.metrics == killed.metrics
    lines = [(runs / name / "history.csv").read_text().splitlines() for name in ("whole", "killed")]
    without_speed = [[line.rpartition(",")[0] for line in each] for each in lines]
    assert without_speed[0] == without_speed[1]
    assert len(lines[0]) == 9


@pytest.fixture
def two_epochs(
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[str, ...]:
    """The command of a run that stopped after 2 of 3 epochs."""
    command = ("train", *TINY, "--epochs", "3", "--store", str(tmp_path / "store"))
    saved = []

    def stop(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", stop)
        assert call(monkeypatch, *command, "--data-dir", str(data_dir)) == 130
    assert "go on from epoch 2 with --resume" in capsys.readouterr().err
    return command


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seed", "1"], ["seed", "0", "1"]),
        (["--set", "objective.beta=3"], ["objective.beta", "1.0", "3"]),
        (["--epochs", "4"], ["optimiser.epochs", "3", "4"]),
        (["--preset", "fashion-beta1"], ["preset", "fashion", "fashion-beta1"]),
    ],
)
def test_another_run_is_not_resumed(
    *,
    two_epochs: tuple[str, ...],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
):
    command = (*two_epochs, "--data-dir", str(data_dir), "--name", "fashion", "--resume", *options)
    assert call(monkeypatch, *command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line


def test_a_run_on_other_images_is_not_resumed(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    write_mnist(tmp_path / "other", train=20, test=10)
    assert call(monkeypatch, *two_epochs, "--data-dir", str(tmp_path / "other"), "--resume") == 2
    assert "has data" in capsys.readouterr().err


def test_an_unfinished_run_is_not_overwritten_by_chance_but_on_demand(
    two_epochs: tuple[str, ...],
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    command = (*two_epochs, "--data-dir", str(data_dir))
    assert call(monkeypatch, *command) == 2
    assert "--resume" in capsys.readouterr().err
    assert call(monkeypatch, *command, "--restart") == 0
    assert call(monkeypatch, *command) == 0, "a published run is done with"


def test_resuming_without_a_checkpoint_is_exit_2(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = ("train", *TINY, "--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(monkeypatch, *command, "--resume") == 2


def test_a_damaged_checkpoint_is_said_and_the_run_goes_on_from_the_one_before(
    two_epochs: tuple[str, ...],
    runs: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    (runs / "fashion" / "checkpoint-0002.safetensors").write_bytes(b"damaged")
    assert call(monkeypatch, *two_epochs, "--data-dir", str(data_dir), "--resume") == 0
    err = capsys.readouterr().err
    assert "checkpoint-0002.safetensors is damaged" in err
    assert "going on from epoch 1" in err


def test_a_finished_run_is_published_again_without_training(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    folder, places = str(runs / "fashion"), ("--data-dir", str(data_dir))
    again = ("publish", folder, *places, "--evaluation", "quick")
    store = Store(tmp_path / "store")
    assert call(monkeypatch, *again, "--store", str(store.root)) == 2, "it is not finished"
    assert call(monkeypatch, *two_epochs, "--data-dir", str(data_dir), "--resume") == 0
    assert call(monkeypatch, *again, "--store", str(store.root)) == 0
    one, two = (store.verify(ModelRef.parse(f"fashion@{version}")) for version in (1, 2))
    assert one.weights_sha256 == two.weights_sha256
    assert one.metrics == two.metrics
    assert one.training == two.training


def test_the_precision_of_matrix_products_is_that_of_the_preset_only_while_it_trains(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def look(*arguments: object) -> None:
        seen.append(torch.get_float32_matmul_precision())
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save", look)
    command = ("train", *TINY, "--epochs", "1", "--data-dir", str(data_dir))
    options = ("--store", str(tmp_path), "--set", "compute.matmul=medium")
    assert call(monkeypatch, *command, *options) == 0
    assert [*seen, torch.get_float32_matmul_precision()] == ["medium", "highest"]
