import tomllib
from pathlib import Path

import pytest

from tests.training.conftest import call


def test_tune_writes_a_preset_that_train_accepts(
    *,
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
    capsys: pytest.CaptureFixture[str],
):
    places = ("--data-dir", str(data_dir), "--threads", "1")
    command = ("tune", "--preset", "lab", "--trials", "3", "--epochs", "1", *places)
    assert call(*command, "--set", "data.train_images=64") == 0
    path = runs / "tune" / "lab.toml"
    assert str(path) in capsys.readouterr().out
    assert (runs / "tune" / "lab.importance.png").read_bytes().startswith(b"\x89PNG")
    assert tomllib.loads(path.read_text())["optimiser"]["epochs"] == 10, (
        "the epochs of the preset, not those of a trial"
    )
    train = ("train", "--preset", str(path), "--epochs", "1", "--store", str(tmp_path), *places)
    assert call(*train, "--evaluation", "quick", "--name", "tuned") == 0


def test_a_shipped_preset_is_not_overwritten():
    path = "training/presets/lab.toml"
    assert call("tune", "--preset", "lab", "--output", path) == 2
