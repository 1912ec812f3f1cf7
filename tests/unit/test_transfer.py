"""Copies between any two stores, and what they refuse."""

import itertools
from pathlib import Path

import pytest

from model_store.spec import ModelRef
from model_store.store import Store, open_store
from model_store.store.cli import main
from tests.unit.backends import Place, in_place, new_place, tree
from tests.unit.models import a_card, tiny_description, tiny_weights


def publish(store: Store, name: str = "tiny", seed: int = 0) -> int:
    return store.publish(name, tiny_description(), tiny_weights(seed), card=a_card).version


PAIRS = [
    *itertools.product(["folder", "memory"], repeat=2),
    *(
        pytest.param(pair, marks=pytest.mark.objects)
        for pair in [("s3", "az"), ("az", "s3"), ("az", "folder"), ("folder", "az")]
    ),
]


@pytest.fixture(params=PAIRS, ids=str)
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, Place]:
    here, there = request.param
    return new_place(here, tmp_path / "here"), new_place(there, tmp_path / "there")


@pytest.fixture
def here(places: tuple[Place, Place]) -> Place:
    """A store with tiny@1 and tiny@2, of which the second is production, and other@1."""
    store = in_place(places[0])
    for name, seed in (("tiny", 0), ("tiny", 1), ("other", 2)):
        publish(store, name, seed)
    store.set_alias("tiny", "production", 2)
    return places[0]


@pytest.fixture
def there(places: tuple[Place, Place]) -> Place:
    return places[1]


def run(place: Place, *arguments: str) -> int:
    return main(["--store", place.location, *arguments])


def versions(place: Place) -> dict[str, bytes]:
    """Every file of every version; a claim belongs to the place, not to the version."""
    return {p: c for p, c in tree(place).items() if p.count("/") == 2 and "/." not in p}


def test_a_push_copies_every_byte_and_no_alias(
    here: Place, there: Place, capsys: pytest.CaptureFixture[str]
):
    assert run(here, "push", "--to", there.location) == 0
    assert "3 versions copied" in capsys.readouterr().out
    assert versions(there) == versions(here)
    assert in_place(there).aliases("tiny") == {"production": 1}
    assert run(here, "push", "--to", there.location) == 0
    assert "0 versions copied" in capsys.readouterr().out


def test_a_bare_name_means_all_versions_and_an_alias_one(here: Place, there: Place):
    assert run(here, "push", "tiny@production", "--to", there.location) == 0
    assert in_place(there).versions("tiny") == (2,)
    assert run(here, "push", "tiny", "--to", there.location) == 0
    assert in_place(there).versions("tiny") == (1, 2)
    assert in_place(there).names() == ("tiny",)


def test_a_pull_is_a_push_from_the_other_side(here: Place, there: Place):
    assert run(there, "pull", "tiny@production", "--from", here.location) == 0
    assert in_place(there).versions("tiny") == (2,)
    assert run(there, "pull", "tiny", "--from", here.location, "--aliases") == 0
    assert in_place(there).aliases("tiny") == {"production": 2}
    assert in_place(there).names() == ("tiny",)


def test_a_sync_makes_the_other_store_answer_alike_and_verify_says_so(
    here: Place, there: Place, capsys: pytest.CaptureFixture[str]
):
    in_place(here).set_alias("tiny", "canary", 1)
    assert run(here, "verify", "--against", there.location) == 1
    assert "other@1 is missing in" in capsys.readouterr().out
    assert run(here, "sync", "--to", there.location) == 0
    assert "tiny@production is version 2 (was 1)" in capsys.readouterr().out
    assert in_place(there).aliases("tiny") == {"production": 2, "canary": 1}
    assert run(here, "verify", "--against", there.location) == 0
    in_place(here).set_alias("tiny", "canary", 2)
    assert run(here, "verify", "--against", there.location) == 1
    assert "tiny@canary is version 2, and 1 in" in capsys.readouterr().out


def test_another_version_of_the_same_number_is_never_replaced(
    here: Place, there: Place, capsys: pytest.CaptureFixture[str]
):
    publish(in_place(there), seed=9)
    before = {path: content for path, content in tree(there).items() if "/1/" in path}
    assert run(here, "sync", "--to", there.location) == 1
    out = capsys.readouterr().out
    assert "has another tiny@1" in out
    assert "2 versions copied" in out
    after = {path: content for path, content in tree(there).items() if path in before}
    assert after == before
    assert in_place(there).aliases("tiny") == {"production": 1}, "aliases wait for all versions"


def test_a_damaged_version_is_not_copied(
    here: Place, there: Place, capsys: pytest.CaptureFixture[str]
):
    here.write("tiny/1/card.md", b"changed")
    assert run(here, "push", "--to", there.location) == 1
    assert "FAILED  tiny@1: card.md" in capsys.readouterr().out
    assert in_place(there).versions("tiny") == (2,)


def test_a_version_without_checksums_stays_without(here: Place, there: Place):
    here.delete("tiny/1/SHA256SUMS")
    assert run(here, "push", "tiny@1", "--to", there.location) == 0
    assert versions(there) == {p: c for p, c in versions(here).items() if "tiny/1/" in p}
    assert not in_place(there).sealed(ModelRef.parse("tiny@1"))


def test_an_address_that_is_none_is_a_line_and_a_status(
    here: Place, capsys: pytest.CaptureFixture[str]
):
    assert run(here, "push", "--to", "ftp://host/x") == 2
    assert "ftp:// is no kind of store" in capsys.readouterr().err
    assert run(here, "push", "nobody", "--to", "memory://x") == 2


def test_the_shipped_models_are_pushed_together_with_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    publish(Store(tmp_path / "own"))
    publish(Store(tmp_path / "shipped"), "other")
    monkeypatch.setattr("model_store.store.locations.OWN", tmp_path / "own")
    monkeypatch.setattr("model_store.store.locations.SHIPPED", tmp_path / "shipped")
    monkeypatch.delenv("ZSERVE_STORE", raising=False)
    assert main(["push", "--to", "memory://of-both"]) == 0
    assert open_store("memory://of-both").names() == ("other", "tiny")
