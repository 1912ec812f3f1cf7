"""Versions beside each other: what the table, the sentences and the folder of figures hold."""

import sys
from pathlib import Path

import pytest

from model_store.spec import (
    Description,
    EpochRecord,
    LatentStatistics,
    Manifest,
    Metric,
    ModelRef,
    ModelSpec,
    TrainingRecord,
)
from model_store.store import Store
from training import __main__ as cli
from training.fitting.trainer import initialise
from training.publishing import comparison


def history(kl: float) -> tuple[EpochRecord, ...]:
    parts = {"loss": 90.0 + kl, "reconstruction": 90.0, "kl": kl}
    sides = {f"{side}_{part}": n for side in ("train", "test") for part, n in parts.items()}
    return tuple(EpochRecord(epoch=epoch, **sides) for epoch in (1, 2))


def publish(root: Path, name: str, spec: ModelSpec, beta: float, numbers: dict[str, float]) -> None:
    description = Description(
        spec=spec,
        training=TrainingRecord(
            preset=name,
            dataset="strokes",
            seed=0,
            epochs=2,
            settings={"objective": {"beta": beta}},
            history=history(numbers["test_kl"]),
        ),
        metrics={k: Metric(value=v, unit="nats", protocol="made up") for k, v in numbers.items()},
        latents=LatentStatistics(kl_nats=(0.5, 2.0, 1.0), mean=(0.0,) * 3, std=(1.0,) * 3),
    )
    weights = initialise(spec, seed=0).state_dict()
    Store(root).publish(name, description, weights, card=lambda ref: f"# {ref}\n")


@pytest.fixture
def store(tmp_path: Path, spec: ModelSpec) -> Path:
    one = {"test_kl": 20.0, "test_reconstruction": 80.0, "test_negative_elbo": 100.0}
    four = {"test_kl": 8.0, "test_reconstruction": 95.0, "test_negative_elbo": 103.0}
    publish(tmp_path, "plain", spec, 1.0, one | {"active_units": 3.0})
    publish(tmp_path, "heavy", spec, 4.0, four)
    return tmp_path


def manifests(store: Path) -> list[Manifest]:
    return [Store(store).manifest(ModelRef.parse(f"{name}@1")) for name in ("heavy", "plain")]


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["training", "compare", *arguments])
    return cli.main()


def test_the_table_has_a_row_for_each_number_that_a_version_has(store: Path):
    rows = {row.name: row.values for row in comparison.table(manifests(store))}
    assert rows["beta"] == (4.0, 1.0)
    assert rows["test_kl"] == (8.0, 20.0)
    assert rows["active_units"] == (None, 3.0)
    assert "test_nll" not in rows


def test_what_a_higher_beta_bought_and_cost_is_said_in_numbers(store: Path):
    (sentence,) = comparison.what_beta_did(manifests(store))
    assert sentence.startswith("beta 1 -> 4 (plain@1 -> heavy@1): bought -12.00 nats of KL")
    assert "+15.00 nats of reconstruction (80.00 to 95.00)" in sentence
    assert "+3.00 nats of -ELBO" in sentence


def test_versions_of_one_beta_give_no_sentence(store: Path):
    heavy, _ = manifests(store)
    assert comparison.what_beta_did([heavy, heavy]) == []


def test_one_command_prints_the_table_and_draws_the_figures(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "figures"
    assert call(monkeypatch, "plain", "heavy@1", "--store", str(store), "--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "plain@1" in told
    assert "bought -12.00 nats of KL" in told
    assert sorted(path.name for path in out.iterdir()) == [
        "curves.png", "samples.png", "traversals.png"
    ]  # fmt: skip


def test_a_version_that_is_not_there_is_exit_2(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert call(monkeypatch, "plain", "light", "--store", str(store)) == 2
    assert "no model 'light'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_exit_2(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "file").touch()
    out = str(tmp_path / "file" / "figures")
    assert call(monkeypatch, "plain", "--store", str(store), "--out", out) == 2
    assert "--out" in capsys.readouterr().err
