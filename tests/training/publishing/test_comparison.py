from pathlib import Path

import pytest

from model_store.spec import Manifest, ModelRef, ModelSpec
from model_store.store import Store
from tests.training.published import publish_two_betas
from training.publishing import comparison


@pytest.fixture
def store(tmp_path: Path, spec: ModelSpec) -> Path:
    publish_two_betas(tmp_path, spec)
    return tmp_path


def manifests(store: Path) -> list[Manifest]:
    return [Store(store).manifest(ModelRef.parse(f"{name}@1")) for name in ("heavy", "plain")]


def test_the_table_has_a_row_for_each_number_that_a_version_has(store: Path):
    rows = {row.name: row.values for row in comparison.table(manifests(store))}
    assert rows["beta"] == (4.0, 1.0)
    assert rows["test_kl"] == (8.0, 20.0)
    assert rows["active_units"] == (None, 3.0)
    assert "test_nll" not in rows


def test_a_sentence_states_how_the_numbers_change_with_beta(store: Path):
    (sentence,) = comparison.effect_of_beta(manifests(store))
    assert sentence.startswith("beta 1 -> 4 (plain@1 -> heavy@1): -12.00 nats of KL")
    assert "+15.00 nats of reconstruction (80.00 to 95.00)" in sentence
    assert "+3.00 nats of -ELBO" in sentence


def test_versions_of_one_beta_give_no_sentence(store: Path):
    heavy, _ = manifests(store)
    assert comparison.effect_of_beta([heavy, heavy]) == []
