import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from model_store.spec import ModelRef
from model_store.store import Store
from tests.training.conftest import call, start, write_mnist
from training.runs import checkpoint
from training.runs.checkpoint import load, peek, save

TINY = (
    "--preset", "fashion", "--threads", "1", "--device", "cpu", "--no-tensorboard",
    "--evaluation", "quick", "--set", "data.train_images=256",
    "--set", "data.dataset=mnist", "--set", "model.network.channels=[4]",
    "--set", "model.network.hidden=8", "--set", "optimiser.batch_size=8",
)  # fmt: skip


def wait_for_epoch(folder: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        done = peek(folder)
        if done is not None and done.epoch >= epoch:
            return
        time.sleep(0.002)
    process.kill()
    raise AssertionError(process.communicate())


def test_a_run_that_was_killed_and_resumed_ends_like_an_uninterrupted_one(
    tmp_path: Path, runs: Path, data_dir: Path
):
    places = ("--data-dir", str(data_dir), "--store", str(tmp_path))
    command = ("train", *TINY, *places, "--epochs", "8")
    assert call(*command, "--name", "whole") == 0
    process = start(*command, "--name", "killed")
    wait_for_epoch(runs / "killed", 2, process)
    time.sleep(0.02)  # an epoch of 32 batches takes longer
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = peek(runs / "killed")
    assert done is not None
    assert 2 <= done.epoch < 8, "it was killed too late for this test to mean anything"
    assert Store(tmp_path).names() == ("whole",)
    assert call(*command, "--name", "killed", "--resume") == 0

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
    """Run until epoch 2 of 3; return the command."""
    command = ("train", *TINY, "--epochs", "3", "--store", str(tmp_path / "store"))
    saved = []

    def stop(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        saved.append(arguments)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", stop)
        assert call(*command, "--data-dir", str(data_dir)) == 130
    assert "continue from epoch 2 with --resume" in capsys.readouterr().err
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
def test_a_run_with_other_settings_is_not_resumed(
    *,
    two_epochs: tuple[str, ...],
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
):
    command = (*two_epochs, "--data-dir", str(data_dir), "--name", "fashion", "--resume", *options)
    assert call(*command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line


def test_a_run_on_other_images_is_not_resumed(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    write_mnist(tmp_path / "other", train=20, test=10)
    assert call(*two_epochs, "--data-dir", str(tmp_path / "other"), "--resume") == 2
    assert "has data" in capsys.readouterr().err


def test_an_unfinished_run_is_discarded_only_with_restart(
    two_epochs: tuple[str, ...],
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = (*two_epochs, "--data-dir", str(data_dir))
    assert call(*command) == 2
    assert "--resume" in capsys.readouterr().err
    assert call(*command, "--restart") == 0
    assert call(*command) == 0, "a published run may be replaced"


def test_resuming_without_a_checkpoint_exits_with_2(data_dir: Path, tmp_path: Path):
    command = ("train", *TINY, "--data-dir", str(data_dir), "--store", str(tmp_path))
    assert call(*command, "--resume") == 2


def test_a_damaged_checkpoint_is_reported_and_the_run_resumes_from_the_one_before(
    two_epochs: tuple[str, ...],
    runs: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    (runs / "fashion" / "checkpoint-0002.safetensors").write_bytes(b"damaged")
    assert call(*two_epochs, "--data-dir", str(data_dir), "--resume") == 0
    err = capsys.readouterr().err
    assert "checkpoint-0002.safetensors is damaged" in err
    assert "resuming from epoch 1" in err


def test_a_finished_run_is_published_again_without_training(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
):
    folder, places = str(runs / "fashion"), ("--data-dir", str(data_dir))
    again = ("publish", folder, *places, "--evaluation", "quick")
    store = Store(tmp_path / "store")
    assert call(*again, "--store", str(store.root)) == 2, "it is not finished"
    assert call(*two_epochs, "--data-dir", str(data_dir), "--resume") == 0
    assert call(*again, "--store", str(store.root)) == 0
    one, two = (store.verify(ModelRef.parse(f"fashion@{version}")) for version in (1, 2))
    assert one.weights_sha256 == two.weights_sha256
    assert one.metrics == two.metrics
    assert one.training == two.training


def test_the_preset_sets_the_precision_of_matrix_products_only_during_training(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    def look(*arguments: object) -> None:
        seen.append(torch.get_float32_matmul_precision())
        save(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save", look)
    command = ("train", *TINY, "--epochs", "1", "--data-dir", str(data_dir))
    options = ("--store", str(tmp_path), "--set", "compute.matmul=medium")
    assert call(*command, *options) == 0
    assert [*seen, torch.get_float32_matmul_precision()] == ["medium", "highest"]


CONVOLUTIONS = ("--set", "compute.bf16=auto", "--set", "compute.channels_last=auto")


def test_a_choice_is_kept_in_checkpoint_and_record_and_by_resume(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    places = ("--data-dir", str(data_dir))
    # the run began with `channels_last`; on this machine `auto` may choose something else
    began = ("--restart", "--set", "compute.channels_last=true")
    with pytest.MonkeyPatch.context() as patch:

        def stop(*arguments: object) -> None:
            save(*arguments)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patch.setattr(checkpoint, "save", stop)
        assert call(*two_epochs, *places, *began) == 130
    capsys.readouterr()
    assert call(*two_epochs, *places, "--resume", *CONVOLUTIONS) == 0
    assert "computing: 1 thread, as set" in capsys.readouterr().err
    done = peek(runs / "fashion")
    assert done is not None
    assert done.preset.compute.channels_last is True
    record = Store(tmp_path / "store").manifest(ModelRef.parse("fashion@1")).training
    compute = record.settings["compute"]
    assert isinstance(compute, dict)
    assert (compute["channels_last"], compute["bf16"]) == (True, False)
    assert record.settings["compute_choice"] == done.compute_choice != ""


def test_a_resumed_run_refuses_another_way_of_computing_than_the_one_it_began_with(
    two_epochs: tuple[str, ...], data_dir: Path, capsys: pytest.CaptureFixture[str]
):
    options = ("--resume", "--set", "compute.bf16=true")
    assert call(*two_epochs, "--data-dir", str(data_dir), *options) == 2
    assert "compute.bf16 False, this one has True" in capsys.readouterr().err


def overfit(*command: str, data_dir: Path) -> tuple[str, ...]:
    """Return a command whose test loss rises: it weighs a KL that training does not hold down."""
    settings = ("--set", "objective.beta=100", "--set", "objective.annealing_epochs=100000")
    return (*command, *settings, "--epochs", "3", "--data-dir", str(data_dir))


def test_a_clearly_better_epoch_is_published_instead_of_the_last_one_unless_refused(
    tmp_path: Path, runs: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
):
    command = overfit("train", *TINY, "--store", str(tmp_path), data_dir=data_dir)
    assert call(*command) == 0
    err = capsys.readouterr().err
    done = peek(runs / "fashion")
    assert done is not None
    losses = [epoch.test.loss for epoch in done.history]
    assert losses[0] < 0.99 * losses[-1], "it was to get worse"
    assert "publishing the best epoch, 1" in err
    assert (runs / "fashion" / "samples.png").is_file()
    best = Store(tmp_path).manifest(ModelRef.parse("fashion@1"))
    assert best.training.epochs == 1
    assert len(best.training.history) == 3

    again = (
        "publish",
        str(runs / "fashion"),
        "--data-dir",
        str(data_dir),
        "--store",
        str(tmp_path),
    )
    assert call(*again, "--evaluation", "quick", "--last") == 0
    last = Store(tmp_path).manifest(ModelRef.parse("fashion@2"))
    assert last.training.epochs == 3
    assert last.metrics["test_kl"].value > best.metrics["test_kl"].value


def test_the_best_epoch_is_published_on_request_and_the_last_one_if_the_best_is_damaged(
    two_epochs: tuple[str, ...],
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    command = overfit(*two_epochs, "--restart", data_dir=data_dir)
    assert call(*command, "--last") == 0
    again = ("publish", str(runs / "fashion"), "--data-dir", str(data_dir), "--best")
    options = ("--store", str(tmp_path / "store"), "--evaluation", "quick")
    assert call(*again, *options) == 0
    store = Store(tmp_path / "store")
    epochs = [store.manifest(ModelRef.parse(f"fashion@{n}")).training.epochs for n in (1, 2)]
    assert epochs == [3, 1]
    (runs / "fashion" / "checkpoint-0001.safetensors").write_bytes(b"damaged")
    capsys.readouterr()
    assert call(*again, *options) == 0
    assert "is damaged" in capsys.readouterr().err
    assert store.manifest(ModelRef.parse("fashion@3")).training.epochs == 3
