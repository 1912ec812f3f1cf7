"""The beginning of a card, and its table of classes, from made-up numbers."""

from datetime import UTC, datetime

from model_store.spec import (
    Description,
    LatentStatistics,
    Manifest,
    Metric,
    ModelRef,
    ModelSpec,
    TrainingRecord,
)
from training.evaluation.evaluate import Evaluation
from training.evaluation.level import EvaluationLevel
from training.evaluation.verify import check_statements
from training.publishing import model_card

REF = ModelRef.parse("coats@3")
OVERALL = {
    "test_negative_elbo": 232.341,
    "reconstruction_label_agreement": 0.8617,
    "samples_relative_sure_share": 0.831,
    "samples_frechet_distance": 3.263,
    "samples_coverage": 0.572,
    "real_frechet_distance": 0.0366,
    "real_coverage": 0.973,
}
BY_CLASS = {
    "test_share": {"Coat": 0.106, "Bag": 0.101},
    "samples_share": {"Coat": 0.060, "Bag": 0.104},
    "samples_coverage": {"Coat": 0.305, "Bag": 0.613},
    "label_right": {"Coat": 0.751, "Bag": 0.98},
}


def manifest_of(described: Description) -> Manifest:
    whole = dict(described) | {"name": REF.name, "version": 3, "files": {}}
    return Manifest(**whole, created_at=datetime(2026, 1, 1, tzinfo=UTC))


def description(
    spec: ModelSpec, classes: tuple[str, ...] | None, numbers: dict[str, float]
) -> Description:
    return Description(
        spec=spec,
        training=TrainingRecord(preset="coats", dataset="Fashion-MNIST", seed=0, epochs=1),
        metrics={k: Metric(value=v, unit="share", protocol="made up") for k, v in numbers.items()},
        classes=classes,
    )


def measured(spec: ModelSpec) -> Description:
    single = {f"{m}[{c}]": v for m, values in BY_CLASS.items() for c, v in values.items()}
    return description(spec, ("Coat", "Bag"), OVERALL | single)


def card(described: Description) -> str:
    return model_card.write(REF, described, ["samples"])


def lines(text: str, title: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"- **{title}:**"))


def test_a_card_begins_with_what_the_model_makes_how_well_and_how_it_is_used(spec: ModelSpec):
    text = card(measured(spec))
    assert text.index("## In short") < text.index("## Numbers") < text.index("## All numbers")
    assert "28x28 pixels, as in Fashion-MNIST, of the classes Coat, Bag" in lines(
        text, "What it makes"
    )
    assert lines(text, "How good new images are").endswith(
        "83 % as recognisable as real images; Frechet distance 3.26 (real images: 0.04); "
        "57 % of the test images covered (by real images: 97 %)"
    )
    assert "86.2 % keep their class; -ELBO 232.34" in lines(
        text, "How faithful reconstructions are"
    )
    assert "`zserve generate --model coats@3 --n 16`" in lines(text, "How to use it")


def test_a_card_names_the_classes_that_are_covered_least_or_made_too_rarely(spec: ModelSpec):
    weak = lines(card(measured(spec)), "Where it is weak")
    assert "least covered: Coat (30 %), Bag (61 %)" in weak
    assert "made too rarely: Coat (6.0 % instead of 10.6 %)" in weak
    assert "often another class than `label=` asks for: Coat (75 % right)" in weak


def test_a_card_without_a_judge_says_that_samples_were_not_measured(spec: ModelSpec):
    text = card(description(spec, None, {"test_negative_elbo": 100.0}))
    assert "not measured: there is no judge" in lines(text, "How good new images are")
    assert "Where it is weak" not in text
    assert "Frechet" not in text
    assert "### By class" not in text


def test_a_card_lists_only_the_ends_of_many_classes(spec: ModelSpec):
    letters = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert "of 26 classes from A to Z" in card(description(spec, letters, {}))


def test_the_table_of_classes_has_a_row_per_class_and_a_column_per_measured_number(
    spec: ModelSpec,
):
    rows = [line for line in card(measured(spec)).splitlines() if line.startswith("|")][:4]
    assert rows == [
        "| class | share of test images | share of samples | covered | label right |",
        "|---|---|---|---|---|",
        "| Coat | 0.106 | 0.060 | 0.305 | 0.751 |",
        "| Bag | 0.101 | 0.104 | 0.613 | 0.980 |",
    ]


def test_every_number_of_a_card_is_checked_against_the_manifest(spec: ModelSpec):
    described = measured(spec)
    evaluation = Evaluation(dict(described.metrics), LatentStatistics(kl_nats=(), mean=(), std=()))
    manifest = manifest_of(described)
    whole = check_statements(manifest, card(described), evaluation, EvaluationLevel.FULL)
    assert whole.agrees
    changed = card(described).replace("| 0.305 |", "| 0.405 |")
    wrong = check_statements(manifest, changed, evaluation, EvaluationLevel.FULL)
    assert [c.name for c in wrong.checks if not c.agrees] == ["card.md: samples_coverage[Coat]"]


def test_a_class_whose_name_has_a_bar_keeps_its_row_and_is_checked(spec: ModelSpec):
    numbers = {f"samples_coverage[{name}]": 0.25 for name in ("yes|no", "maybe")}
    described = description(spec, ("yes|no", "maybe"), numbers)
    text = card(described)
    assert r"| yes\|no | 0.250 |" in text
    evaluation = Evaluation(dict(described.metrics), LatentStatistics(kl_nats=(), mean=(), std=()))
    arguments = (evaluation, EvaluationLevel.FULL)
    assert check_statements(manifest_of(described), text, *arguments).agrees
    changed = text.replace(r"| yes\|no | 0.250 |", r"| yes\|no | 0.750 |")
    wrong = check_statements(manifest_of(described), changed, *arguments)
    assert [c.name for c in wrong.checks if not c.agrees] == ["card.md: samples_coverage[yes|no]"]
