from pathlib import Path

import pytest

from tests.training.conftest import bars, call, write_idx
from training.classifier.model import load_judge


def test_a_command_trains_a_judge_from_the_files_of_its_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    raw, out = tmp_path / "MNIST" / "raw", tmp_path / "judges"
    raw.mkdir(parents=True)
    for seed, prefix in enumerate(("train", "t10k")):
        made = bars(60, seed)
        write_idx(raw / f"{prefix}-images-idx3-ubyte", made.pixels[:, 0].numpy())
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", made.require_labels().byte().numpy())
    options = ["--data-dir", str(tmp_path), "--out", str(out), "--epochs", "1", "--threads", "1"]
    assert call("judge", "mnist", *options) == 0
    _, card = load_judge("mnist", out)
    assert f"accuracy {card.accuracy:.4f}" in capsys.readouterr().out
