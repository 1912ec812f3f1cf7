"""The quality of samples, and which version of a data set has the best ones."""

from pathlib import Path

from model_store.sample_quality import SampleQuality, best_samples, sample_quality
from model_store.spec import Description, ModelRef
from model_store.store import Store
from tests.unit.models import a_card, measured_description, tiny_description, tiny_weights


def published(root: Path, description: Description) -> SampleQuality | None:
    store = Store(root)
    store.publish("tiny", description, tiny_weights(), card=a_card)
    return sample_quality(store.manifest(ModelRef.parse("tiny@1")))


def quality(frechet_distance: float, recognisable: float = 0.9, dataset: str = "A"):
    return SampleQuality(
        dataset=dataset, recognisable=recognisable, frechet_distance=frechet_distance
    )


def test_the_quality_of_a_version_is_what_the_judge_measured(tmp_path: Path):
    assert published(tmp_path, measured_description(0.92, 0.48)) == SampleQuality(
        dataset="made", recognisable=0.92, frechet_distance=0.48
    )


def test_a_version_without_a_judge_has_no_quality(tmp_path: Path):
    assert published(tmp_path, tiny_description()) is None


def test_recognisable_samples_without_variety_are_not_the_best():
    # as notebook@3 beside mnist-gaussian@2: more samples are sure, but nearly all look alike
    assert best_samples({"one mode": quality(26.6, 0.824), "all": quality(1.13, 0.820)}) == {"all"}


def test_versions_of_different_data_sets_are_never_ranked_against_each_other():
    qualities = {
        "digits": quality(0.5),
        "more digits": quality(3.0),
        "garments": quality(9.0, dataset="B"),
        "other garments": quality(8.0, dataset="B"),
        "letters": quality(0.1, dataset="C"),
        "not measured": None,
    }
    assert best_samples(qualities) == {"digits", "other garments"}


def test_equally_good_versions_are_all_among_the_best():
    assert best_samples({1: quality(2.0), 2: quality(2.0), 3: quality(2.5)}) == {1, 2}
    assert best_samples({}) == set()
