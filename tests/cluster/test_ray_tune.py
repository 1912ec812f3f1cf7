"""A search whose trials run in parallel on two nodes of a Ray cluster."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="ray is not installed; `make test-cluster` installs it")
import optuna
import torch

from tests.cluster.nodes import Cluster, cluster
from tests.training.conftest import call, strokes, write_mnist
from training.config import changed, load_preset
from training.data.images import Images, Splits
from training.devices import Device
from training.errors import TuningError
from training.tuning import search
from training.tuning.ray_search import Workers, search_on_ray


@pytest.fixture(scope="module")
def two_nodes() -> Iterator[Cluster]:
    with cluster(2, {}) as started:
        started.disconnect()  # the search connects
        yield started


@pytest.fixture
def workers(two_nodes: Cluster, tmp_path: Path) -> Workers:
    return Workers(two_nodes.address, tmp_path / "ray", Device.CPU, threads=1)


@pytest.fixture
def job(tmp_path: Path) -> search.Search:
    pixels = torch.from_numpy(strokes(60, seed=3)).unsqueeze(1)
    splits = Splits("strokes", Images(pixels[:50]), Images(pixels[50:]))
    preset = load_preset("lab", {"optimiser.epochs": 4})
    return search.Search("lab", preset, splits, 3, search.default_storage(tmp_path, "s"), "s")


def test_either_tuner_continues_a_study_of_the_other(job: search.Search, workers: Workers):
    alone: list[search.TrialDone] = []
    search.search(job, alone.append)
    on_ray: list[search.TrialDone] = []
    study = search_on_ray(replace(job, trials=7), workers, on_ray.append)
    assert sorted(done.number for done in on_ray) == [3, 4, 5, 6]
    assert {done.state for done in on_ray} <= {"complete", "pruned"}
    rest: list[search.TrialDone] = []
    search.search(replace(job, trials=8), rest.append)
    assert [done.number for done in rest] == [7]
    distributions = [trial.distributions for trial in study.trials]
    assert all(one == distributions[0] for one in distributions)
    assert study.best_value == min(
        done.value for done in alone + on_ray + rest if done.state == "complete" and done.value
    )


def test_a_trial_has_the_value_that_it_has_without_ray(job: search.Search, workers: Workers):
    trials: list[search.TrialDone] = []
    study = search_on_ray(replace(job, trials=1), workers, trials.append)
    chosen = search.suggest(optuna.trial.FixedTrial(study.best_params), job.preset)  # type: ignore[arg-type]
    epochs = list(search.train_trial(job, search.hold_out(job.splits), chosen))
    assert [epoch for epoch, _ in epochs] == [1, 2, 3, 4]
    assert trials[0].value == pytest.approx(epochs[-1][1], rel=1e-5)


def test_trials_that_diverge_are_pruned_and_leave_no_best_one(job: search.Search, workers: Workers):
    trials: list[search.TrialDone] = []
    diverging = replace(job, preset=changed(job.preset, {"objective.beta": 1e300}))
    with pytest.raises(TuningError, match="no trial of the study s was completed"):
        search_on_ray(diverging, workers, trials.append)
    assert [done.state for done in trials] == ["pruned"] * 3


def test_a_search_ends_if_the_cluster_cannot_be_reached(job: search.Search, workers: Workers):
    nowhere = replace(workers, address="127.0.0.1:1")
    with pytest.raises(TuningError, match=r"cannot use the Ray cluster 127\.0\.0\.1:1") as caught:
        search_on_ray(job, nowhere, lambda _: None)
    assert "\n" not in str(caught.value)


def test_the_command_writes_the_best_preset_of_trials_on_a_cluster(
    two_nodes: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_mnist(tmp_path / "data", train=128, test=32)
    command = ["tune", "--preset", "lab", "--trials", "2", "--epochs", "1", "--threads", "1"]
    command += ["--data-dir", str(tmp_path / "data"), "--runs-dir", str(tmp_path / "runs")]
    assert call(*command, "--ray", two_nodes.address, "--device", "cpu") == 0
    assert load_preset(str(tmp_path / "runs" / "tune" / "lab.toml")).optimiser.epochs == 10
    assert "best of 2 trials" in capsys.readouterr().out
