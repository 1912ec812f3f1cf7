"""A store of one's own read together with the shipped one."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store.errors import ModelNotFoundError, PublishError, StoreError
from model_store.spec import Manifest, ModelRef
from model_store.store import OWN, SHIPPED, Store, open_store
from model_store.store.cli import main
from tests.unit.models import a_card, tiny_description, tiny_weights


def publish(store: Store, name: str = "tiny", seed: int = 0) -> Manifest:
    return store.publish(name, tiny_description(), tiny_weights(seed), card=a_card)


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def shipped(tmp_path: Path) -> Store:
    """Ships tiny@1 and tiny@2, of which the second is production, and other@1."""
    store = Store(tmp_path / "shipped")
    for name in ("tiny", "tiny", "other"):
        publish(store, name)
    store.set_alias("tiny", "production", 2)
    return store


@pytest.fixture
def both(tmp_path: Path, shipped: Store) -> Iterator[Store]:
    """Reads a folder that is not there yet together with the shipped one, which stays as it is."""
    before = tree(shipped.root)
    yield Store(tmp_path / "own", shipped=shipped.root)
    assert tree(shipped.root) == before


def test_a_folder_of_ones_own_need_not_exist(both: Store):
    assert both.names() == ("other", "tiny")
    assert both.versions("tiny") == (1, 2)
    assert both.resolve(ModelRef.parse("tiny")).version == 2
    assert both.verify(ModelRef.parse("tiny")).version == 2
    assert not both.root.exists()


def test_names_are_those_of_both(both: Store):
    assert publish(both, "mine").version == 1
    assert both.names() == ("mine", "other", "tiny")
    assert (both.root / "mine" / "1").is_dir()


def test_versions_under_a_shipped_name_count_on_after_the_shipped_ones(both: Store):
    assert publish(both, seed=7).version == 3
    assert both.versions("tiny") == (1, 2, 3)
    assert sorted(entry.name for entry in (both.root / "tiny").iterdir()) == ["3"]
    assert both.load(ModelRef.parse("tiny@3")).weights.keys() == tiny_weights().keys()
    assert both.card(ModelRef.parse("tiny@1")) == "# tiny@1\n"


def test_versions_under_a_shipped_name_count_on_after_ones_own(both: Store):
    assert [publish(both).version for _ in range(2)] == [3, 4]


def test_publishing_does_not_change_what_is_served(both: Store):
    publish(both)
    assert both.resolve(ModelRef.parse("tiny")).version == 2
    publish(both, "mine")
    publish(both, "mine")
    assert both.resolve(ModelRef.parse("mine")).version == 1


def test_an_alias_of_a_shipped_name_is_written_to_ones_own_folder(both: Store):
    both.set_alias("tiny", "production", 1)
    both.set_alias("tiny", "canary", 2)
    assert both.aliases("tiny") == {"production": 1, "canary": 2}
    assert both.resolve(ModelRef.parse("tiny")).version == 1
    assert both.versions("tiny") == (1, 2)
    assert both.names() == ("other", "tiny")


def test_an_alias_may_point_from_a_shipped_name_to_ones_own_version(both: Store):
    publish(both)
    both.set_alias("tiny", "production", 3)
    assert both.resolve(ModelRef.parse("tiny")).version == 3


def test_shipped_aliases_stay_beside_ones_own(both: Store, shipped: Store):
    both.set_alias("tiny", "canary", 1)
    assert both.aliases("tiny") == {"production": 2, "canary": 1}
    assert shipped.aliases("tiny") == {"production": 2}


def test_ones_own_version_is_read_if_a_later_release_ships_the_same_number(
    both: Store, shipped: Store
):
    publish(both, "other", seed=5)
    own = both.load(ModelRef.parse("other@2")).manifest.weights_sha256
    late = shutil.copytree(shipped.root / "other" / "1", shipped.root / "other" / "2")
    assert both.load(ModelRef.parse("other@2")).manifest.weights_sha256 == own
    shutil.rmtree(late)


def test_unknown_models_are_named_with_those_of_both(both: Store):
    publish(both, "mine")
    with pytest.raises(ModelNotFoundError, match="it holds: mine, other, tiny"):
        both.load(ModelRef.parse("nobody"))


def test_a_read_only_folder_is_read_and_refuses_to_be_written(both: Store, tmp_path: Path):
    both.root.mkdir()
    both.root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert both.verify(ModelRef.parse("tiny")).version == 2
        if os.access(both.root, os.W_OK):
            both = Store(Path("/proc/models"), shipped=both.shipped)  # root may write anywhere else
        with pytest.raises(PublishError, match="the store is unchanged"):
            publish(both)
        with pytest.raises(StoreError, match="cannot set tiny@production"):
            both.set_alias("tiny", "production", 1)
    finally:
        (tmp_path / "own").chmod(stat.S_IRWXU)


# --- what is read by default ---


def test_without_a_folder_ones_own_models_and_the_shipped_ones_are_read():
    store = open_store()
    assert (store.root, store.shipped) == (OWN, SHIPPED)
    assert SHIPPED.name == "weights"
    assert SHIPPED.parent / "models" == OWN
    assert "mnist" in store.names()


def test_a_folder_that_is_named_is_read_alone(tmp_path: Path):
    store = open_store(tmp_path)
    assert (store.root, store.shipped) == (tmp_path, None)
    assert store.names() == ()


def test_the_command_reads_both_unless_a_folder_is_named(
    both: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("model_store.store.locations.OWN", both.root)
    monkeypatch.setattr("model_store.store.locations.SHIPPED", both.shipped)
    monkeypatch.delenv("ZSERVE_STORE", raising=False)
    publish(both, "mine")
    assert main(["verify"]) == 0
    assert f"sound: 4 of 4 versions in {both}" in capsys.readouterr().out
    monkeypatch.setenv("ZSERVE_STORE", str(both.root))
    assert main(["verify"]) == 0
    assert f"sound: 1 of 1 version in {both.root}\n" in capsys.readouterr().out
    monkeypatch.delenv("ZSERVE_STORE")
    assert main(["promote", "tiny@1"]) == 0
    assert capsys.readouterr().out == "tiny@production is version 1 (was 2)\n"
