from pathlib import Path

import pytest

from model_store.spec import ModelSpec
from tests.training.conftest import call
from tests.training.published import publish_two_betas


@pytest.fixture
def store(tmp_path: Path, spec: ModelSpec) -> Path:
    publish_two_betas(tmp_path, spec)
    return tmp_path


def test_one_command_prints_the_table_and_draws_the_figures(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "figures"
    assert call("compare", "plain", "heavy@1", "--store", str(store), "--out", str(out)) == 0
    out_text = capsys.readouterr().out
    assert "plain@1" in out_text
    assert "-12.00 nats of KL" in out_text
    assert "samples not ranked: those of plain@1, heavy@1 were not measured" in out_text
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.png", "samples.png", "traversals.png"
    ]  # fmt: skip


def test_a_missing_version_exits_with_2(store: Path, capsys: pytest.CaptureFixture[str]):
    assert call("compare", "plain", "light", "--store", str(store)) == 2
    assert "no model 'light'" in capsys.readouterr().err


def test_a_folder_that_is_not_writable_exits_with_2(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "figures")
    assert call("compare", "plain", "--store", str(store), "--out", out) == 2
    assert "--out" in capsys.readouterr().err
