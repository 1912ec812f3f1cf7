"""python -m model_store, as a person or a script uses it."""

from pathlib import Path

import pytest

from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from model_store.store.cli import main
from tests.unit.models import a_card, measured_description, tiny_description, tiny_weights


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    for seed in (0, 1):
        store.publish("tiny", tiny_description(), tiny_weights(seed), card=a_card)
    return store


def run(store: Store, *arguments: str) -> int:
    return main(["--store", str(store.root), *arguments])


def test_list_shows_a_line_per_version_with_its_aliases(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    assert run(store, "list") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert first.split()[:2] == ["tiny", "1"]
    assert first.endswith("production")
    assert second.split()[:2] == ["tiny", "2"]


def test_list_shows_the_quality_of_samples_and_marks_the_best_of_a_data_set(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    for name, distance in (("better", 0.481), ("worse", 3.2)):
        description = measured_description(0.916, distance)
        store.publish(name, description, tiny_weights(), card=a_card)
    assert run(store, "list") == 0
    titles, better, first, _, worse = capsys.readouterr().out.splitlines()
    samples = titles.index("SAMPLES")
    assert better[samples:].startswith("92 %          0.48 best  float")
    assert worse[samples:].startswith("92 %          3.20       float")
    assert first[samples:].startswith("not measured  -          float")


def test_list_shows_a_damaged_version_and_goes_on(store: Store, capsys: pytest.CaptureFixture[str]):
    (store.root / "tiny" / "1" / "manifest.json").write_text("{")
    assert run(store, "list") == 0
    _, first, second = capsys.readouterr().out.splitlines()
    assert "DAMAGED: tiny@1" in first
    assert second.split()[:2] == ["tiny", "2"]


def test_show_prints_the_card_or_the_manifest(store: Store, capsys: pytest.CaptureFixture[str]):
    assert run(store, "show", "tiny@2") == 0
    assert capsys.readouterr().out.startswith("# tiny@2")
    assert run(store, "show", "tiny@2", "--json") == 0
    manifest = Manifest.model_validate_json(capsys.readouterr().out)
    assert manifest == store.manifest(ModelRef.parse("tiny@2"))


def test_verify_checks_every_version_and_fails_if_one_does(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    assert run(store, "verify") == 0
    assert "sound: 2 of 2 versions" in capsys.readouterr().out
    (store.root / "tiny" / "2" / "card.md").write_text("changed")
    assert run(store, "verify", "tiny@1") == 0
    assert run(store, "verify") == 1
    assert "FAILED  tiny@2: card.md" in capsys.readouterr().out


def test_promote_moves_production_and_says_what_it_was(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    assert run(store, "promote", "tiny@2") == 0
    assert capsys.readouterr().out == "tiny@production is version 2 (was 1)\n"
    assert store.resolve(ModelRef.parse("tiny")).version == 2


def test_promote_refuses_a_damaged_version(store: Store, capsys: pytest.CaptureFixture[str]):
    (store.root / "tiny" / "2" / "weights.safetensors").write_bytes(b"")
    assert run(store, "promote", "tiny@2") == 1
    assert "weights.safetensors" in capsys.readouterr().err
    assert store.aliases("tiny") == {"production": 1}


@pytest.mark.parametrize("ref", ["nobody", "tiny@9", "tiny@canary", "not a ref"])
def test_what_does_not_exist_is_one_line_and_status_two(
    store: Store, ref: str, capsys: pytest.CaptureFixture[str]
):
    assert run(store, "show", ref) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_promotion_can_be_undone_with_what_resolve_printed_before(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    store.set_alias("tiny", "production", 2)
    assert run(store, "resolve", "tiny") == 0
    before = capsys.readouterr().out.strip()
    assert before == "tiny@2"
    assert run(store, "promote", "tiny@1") == 0
    assert run(store, "promote", before) == 0
    assert store.aliases("tiny") == {"production": 2}


@pytest.mark.parametrize(("ref", "version"), [("tiny@1", 1), ("tiny@canary", 2), ("tiny", 1)])
def test_resolve_prints_the_version_of_any_reference(
    store: Store, ref: str, version: int, capsys: pytest.CaptureFixture[str]
):
    store.set_alias("tiny", "canary", 2)
    assert run(store, "resolve", ref) == 0
    assert capsys.readouterr().out == f"tiny@{version}\n"
