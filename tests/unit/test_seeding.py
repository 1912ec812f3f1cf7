"""The store of an installation: the shipped versions are copied once, and the user's stay."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model_store.spec import ModelRef
from model_store.store import Store
from model_store.store.seeding import RECORD, seeded_store
from model_store.store.tidying import remove_model
from tests.unit.models import a_card, tiny_description, tiny_weights


def publish(store: Store, name: str = "tiny", seed: int = 0) -> int:
    return store.publish(name, tiny_description(), tiny_weights(seed), card=a_card).version


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A release that ships tiny@1 and other@1."""
    store = Store(tmp_path / "shipped")
    publish(store)
    publish(store, "other")
    return store.root


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "home" / "zserve" / "models"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def versions(store: Store) -> dict[str, tuple[int, ...]]:
    return {name: store.versions(name) for name in store.names()}


def test_the_first_use_copies_every_shipped_version(own: Path, shipped: Path):
    store = seeded_store(own, shipped)
    assert versions(store) == {"tiny": (1,), "other": (1,)}
    assert store.shipped is None
    assert tree(own / "tiny" / "1") == tree(shipped / "tiny" / "1")
    assert json.loads((own / RECORD).read_text()) == ["other@1", "tiny@1"]


def test_later_uses_write_nothing(own: Path, shipped: Path):
    seeded_store(own, shipped)
    before = {p: p.stat().st_mtime_ns for p in own.rglob("*")}
    assert versions(seeded_store(own, shipped)) == {"tiny": (1,), "other": (1,)}
    assert {p: p.stat().st_mtime_ns for p in own.rglob("*")} == before


def test_an_update_adds_versions_and_keeps_what_names_mean(own: Path, shipped: Path):
    seeded_store(own, shipped).set_alias("other", "mine", 1)
    release = Store(shipped)
    assert publish(release, seed=3) == 2
    shutil.rmtree(shipped / "tiny" / "1")  # a release ships one version of each model
    publish(release, "new")
    store = seeded_store(own, shipped)
    assert versions(store) == {"tiny": (1, 2), "other": (1,), "new": (1,)}
    assert store.resolve(ModelRef.parse("tiny")).version == 1
    assert store.aliases("other") == {"production": 1, "mine": 1}


def test_aliases_of_a_new_model_are_copied_and_those_of_the_user_are_not_touched(
    own: Path, shipped: Path
):
    release = Store(shipped)
    publish(release, seed=3)
    release.set_alias("tiny", "production", 2)
    store = seeded_store(own, shipped)
    assert store.aliases("tiny") == {"production": 2}
    store.set_alias("tiny", "production", 1)
    publish(release, seed=4)
    release.set_alias("tiny", "production", 3)
    assert seeded_store(own, shipped).aliases("tiny") == {"production": 1}


def test_what_the_user_has_is_never_overwritten(own: Path, shipped: Path):
    mine = Store(own)
    publish(mine, seed=42)
    before = tree(own / "tiny")
    store = seeded_store(own, shipped)
    assert tree(own / "tiny") == before
    assert versions(store) == {"tiny": (1,), "other": (1,)}


def test_what_the_user_removed_does_not_come_back(own: Path, shipped: Path):
    remove_model(seeded_store(own, shipped), "other")
    publish(Store(shipped), seed=3)
    assert versions(seeded_store(own, shipped)) == {"tiny": (1, 2)}


def test_a_damaged_record_is_made_again(own: Path, shipped: Path):
    seeded_store(own, shipped)
    for content in ("{", '{"a": 1}', ""):
        (own / RECORD).write_text(content)
        assert versions(seeded_store(own, shipped)) == {"tiny": (1,), "other": (1,)}
        assert json.loads((own / RECORD).read_text()) == ["other@1", "tiny@1"]


def test_processes_that_start_together_copy_once(own: Path, shipped: Path):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: seeded_store(own, shipped), range(4)))
    assert all(versions(store) == {"tiny": (1,), "other": (1,)} for store in stores)
    assert not list(own.rglob(".publishing-*"))


def test_a_folder_that_cannot_be_written_leaves_the_shipped_models_usable(
    tmp_path: Path, shipped: Path, caplog: pytest.LogCaptureFixture
):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with caplog.at_level("WARNING", "zserve"):
        store = seeded_store(blocked / "models", shipped)
    assert versions(store) == {"tiny": (1,), "other": (1,)}
    assert store.shipped == shipped
    assert "the shipped models are used from" in caplog.text
