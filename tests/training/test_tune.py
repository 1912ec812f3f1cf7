import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.conftest import strokes
from tests.training.test_cli import call
from training.config import changed, load_preset
from training.data.loading import Images, Splits
from training.errors import TuningError
from training.tuning import search


@pytest.fixture
def splits() -> Splits:
    pixels = torch.from_numpy(strokes(60, seed=3)).unsqueeze(1)
    return Splits("strokes", Images(pixels[:50]), Images(pixels[50:]))


@pytest.fixture
def job(tmp_path: Path, splits: Splits) -> search.Search:
    preset = load_preset("lab", {"optimiser.epochs": 1})
    return search.Search("lab", preset, splits, 3, search.default_storage(tmp_path, "s"), "s")


def test_the_test_split_is_never_looked_at(splits: Splits):
    held = search.hold_out(splits)
    assert (len(held.train), len(held.test)) == (45, 5)
    seen = torch.cat([held.train.pixels, held.test.pixels]).flatten(start_dim=1)
    assert torch.equal(
        seen.long().sum(dim=1).sort().values,
        splits.train.pixels.flatten(start_dim=1).long().sum(dim=1).sort().values,
    )


@pytest.mark.parametrize("name", ["lab", "digits", "fashion", "notebook", "folder"])
def test_a_preset_written_as_a_file_is_read_back_as_it_was(tmp_path: Path, name: str):
    preset = changed(
        load_preset(name), {"optimiser.clip_norm": 0.5, "optimiser.learning_rate": 1.25e-4}
    ).model_copy(update={"summary": 'with "quotes" and \\'})
    path = tmp_path / "mine.toml"
    path.write_text(search.to_toml(preset))
    assert load_preset(str(path)) == preset


def test_a_study_goes_on_where_it_was_and_its_best_trial_is_a_preset(job: search.Search):
    first: list[search.TrialDone] = []
    search.search(job, first.append)
    assert [done.number for done in first] == [0, 1, 2]
    rest: list[search.TrialDone] = []
    study = search.search(replace(job, trials=4), rest.append)
    assert [done.number for done in rest] == [3]
    best = search.best_preset(study, job)
    assert best.optimiser.learning_rate == study.best_params["optimiser.learning_rate"]
    assert best.model.latent == study.best_params["model.latent"]
    assert best.data == job.preset.data
    assert study.best_value == min(done.value for done in first + rest if done.value)


def test_a_study_of_other_settings_is_not_mixed_with_this_one(job: search.Search):
    search.open_study(job)
    other = changed(job.preset, {"objective.beta": 4.0})
    with pytest.raises(TuningError, match="choose another --study"):
        search.open_study(replace(job, preset=other))


def test_a_storage_that_cannot_be_used_is_one_line(job: search.Search):
    bad = replace(job, storage="sqlite:////nosuch/folder/a.db")
    with pytest.raises(TuningError, match="cannot open the study") as caught:
        search.open_study(bad)
    assert "\n" not in str(caught.value)


def test_the_command_writes_a_preset_that_train_takes(
    *,
    tmp_path: Path,
    runs: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    places = ("--data-dir", str(data_dir), "--threads", "1")
    command = ("tune", "--preset", "lab", "--trials", "3", "--epochs", "1", *places)
    assert call(monkeypatch, *command, "--set", "data.train_images=64") == 0
    path = runs / "tune" / "lab.toml"
    assert str(path) in capsys.readouterr().out
    assert (runs / "tune" / "lab.importance.png").read_bytes().startswith(b"\x89PNG")
    assert tomllib.loads(path.read_text())["optimiser"]["epochs"] == 10, "not that of a trial"
    train = ("train", "--preset", str(path), "--epochs", "1", "--store", str(tmp_path), *places)
    assert call(monkeypatch, *train, "--evaluation", "quick", "--name", "tuned") == 0


def test_a_shipped_preset_is_not_overwritten(monkeypatch: pytest.MonkeyPatch):
    path = "training/presets/lab.toml"
    assert call(monkeypatch, "tune", "--preset", "lab", "--output", path) == 2
