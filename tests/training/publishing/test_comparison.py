from dataclasses import replace
from pathlib import Path

import pytest

from model_store.spec import Manifest, Metric, ModelRef, ModelSpec
from model_store.store import Store
from tests.training.published import publish_two_betas
from training.publishing import comparison, score_figures


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


CLASSES = ("down", "across")


def judged(manifest: Manifest, frechet_distance: float, *, by_class: bool = True) -> Manifest:
    """Return a manifest with made-up scores of a judge."""
    values = {
        "samples_relative_sure_share": 0.9,
        "samples_frechet_distance": frechet_distance,
        "samples_coverage": 0.7,
        "real_coverage": 0.97,
    }
    if by_class:
        for name in ("test_share", "samples_share", "samples_coverage", "label_recall"):
            values |= {f"{name}[{one}]": 0.5 for one in CLASSES}
    scores = {k: Metric(value=v, unit="share", protocol="made up") for k, v in values.items()}
    return manifest.model_copy(update={"metrics": manifest.metrics | scores, "classes": CLASSES})


def moved(manifest: Manifest, dataset: str) -> Manifest:
    training = manifest.training.model_copy(update={"dataset": dataset})
    return manifest.model_copy(update={"training": training})


def test_the_table_has_the_judges_scores(store: Path):
    heavy, plain = manifests(store)
    rows = {row.name: row.values for row in comparison.table([judged(heavy, 3.0), plain])}
    assert rows["samples_coverage"] == (0.7, None)


def test_the_version_with_the_smallest_frechet_distance_has_the_best_samples(store: Path):
    heavy, plain = manifests(store)
    assert comparison.ranking([judged(heavy, 3.0), judged(plain, 1.0)]) == (
        "best samples: plain@1 (Frechet distance 1.00, 90 % as recognisable as real images)"
    )


def test_versions_of_different_data_sets_or_without_scores_are_not_ranked(store: Path):
    heavy, plain = manifests(store)
    several = comparison.ranking([judged(heavy, 3.0), moved(judged(plain, 1.0), "garments")])
    assert several.startswith("samples not ranked: scores of different data sets")
    assert several.endswith("(strokes, garments)")
    unmeasured = comparison.ranking([judged(heavy, 3.0), plain])
    assert unmeasured == "samples not ranked: those of plain@1 were not measured"
    assert comparison.ranking([judged(heavy, 3.0)]) == "samples not ranked: there is one version"


def test_scores_are_drawn_for_versions_of_one_data_set_only(store: Path):
    heavy, plain = (Store(store).load(manifest.ref) for manifest in manifests(store))
    good = replace(heavy, manifest=judged(heavy.manifest, 3.0))
    better = replace(plain, manifest=judged(plain.manifest, 1.0))
    drawn = comparison.draw({"heavy@1": good, "plain@1": better})
    assert {"scores", "classes"} <= drawn.keys()
    assert all(png.startswith(b"\x89PNG") for png in drawn.values())
    elsewhere = replace(plain, manifest=moved(better.manifest, "garments"))
    assert not {"scores", "classes"} & comparison.draw({"a@1": good, "b@1": elsewhere}).keys()


def test_a_version_without_numbers_of_classes_is_drawn_beside_one_that_has_them(store: Path):
    heavy, plain = manifests(store)
    versions = {
        "heavy@1": judged(heavy, 3.0, by_class=False).metrics,
        "plain@1": judged(plain, 1.0).metrics,
    }
    assert score_figures.compared_classes(versions, CLASSES) is not None
    assert score_figures.compared_classes({"heavy@1": versions["heavy@1"]}, CLASSES) is None
    assert score_figures.compared_scores({"heavy@1": heavy.metrics}) is None
