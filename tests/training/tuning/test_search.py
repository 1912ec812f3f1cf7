from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training.conftest import strokes
from training.config import changed, load_preset
from training.data.images import Images, Splits
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


def test_a_search_uses_no_image_of_the_test_split(splits: Splits):
    held = search.hold_out(splits)
    assert (len(held.train), len(held.test)) == (45, 5)
    seen = torch.cat([held.train.pixels, held.test.pixels]).flatten(start_dim=1)
    assert torch.equal(
        seen.long().sum(dim=1).sort().values,
        splits.train.pixels.flatten(start_dim=1).long().sum(dim=1).sort().values,
    )


@pytest.mark.parametrize("name", ["lab", "digits", "fashion", "notebook", "folder"])
def test_a_preset_written_to_a_file_reads_back_equal(tmp_path: Path, name: str):
    preset = changed(
        load_preset(name), {"optimiser.clip_norm": 0.5, "optimiser.learning_rate": 1.25e-4}
    ).model_copy(update={"summary": 'with "quotes" and \\'})
    path = tmp_path / "mine.toml"
    path.write_text(search.to_toml(preset))
    assert load_preset(str(path)) == preset


def test_a_study_continues_and_its_best_trial_becomes_a_preset(job: search.Search):
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


def test_a_study_with_other_settings_is_refused(job: search.Search):
    search.open_study(job)
    other = changed(job.preset, {"objective.beta": 4.0})
    with pytest.raises(TuningError, match="choose another --study"):
        search.open_study(replace(job, preset=other))


def test_an_unusable_storage_is_an_error_of_one_line(job: search.Search):
    bad = replace(job, storage="sqlite:////nosuch/folder/a.db")
    with pytest.raises(TuningError, match="cannot open the study") as caught:
        search.open_study(bad)
    assert "\n" not in str(caught.value)
