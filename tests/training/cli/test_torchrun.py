"""`train` with several processes, as torchrun starts them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model_store.spec import ModelRef
from model_store.store import Store
from tests.e2e.server import CHECKOUT
from tests.training.cli.test_train import QUICK
from tests.training.conftest import call
from training.runs.checkpoint import load

pytestmark = pytest.mark.processes


def torchrun(processes: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *launcher, "-m", "training", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_two_processes_publish_one_version_like_one_process(
    tmp_path: Path, runs: Path, data_dir: Path
):
    places = ("--data-dir", data_dir, "--store", tmp_path, "--runs-dir", runs)
    words = ("train", "--preset", "lab", "--no-tensorboard", *QUICK, *places)
    done = torchrun(2, *words, "--name", "two")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("published two@1") == 1
    manifest = Store(tmp_path).verify(ModelRef.parse("two@1"))
    assert str(manifest.training.settings["compute_choice"]).endswith("; 2 processes")
    assert call(*map(str, words), "--name", "one") == 0
    states = [load(runs / name).tensors for name in ("one", "two")]
    for name, value in states[0].items():
        if name.startswith("vae."):
            torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=1e-4)


def test_a_folder_without_a_preset_is_refused(tmp_path: Path):
    done = torchrun(1, "train", tmp_path)
    assert done.returncode != 0
    assert "torchrun: name a --preset" in done.stderr
