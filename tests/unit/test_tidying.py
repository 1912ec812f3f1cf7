"""Versions that are removed, models that get another name, and what a prune keeps; in any store."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from model_store.errors import ModelNotFoundError, PublishError, StoreError, VersionNotFoundError
from model_store.spec import ModelRef
from model_store.store import DiskCache, Store, open_store
from model_store.store.checksums import CHECKSUMS
from model_store.store.cli import main
from model_store.store.signing import SIGNATURE
from model_store.store.tidying import remove_model, rename_model, unused_versions
from model_store.store.transfer import copy_version
from tests.e2e.server import CHECKOUT
from tests.unit.backends import KINDS, Place, in_place, new_place, tree
from tests.unit.models import a_card, tiny_description, tiny_weights


def publish(store: Store, name: str = "tiny", seed: int = 0) -> int:
    return store.publish(name, tiny_description(), tiny_weights(seed), card=a_card).version


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return new_place(request.param, tmp_path)


@pytest.fixture
def store(place: Place) -> Store:
    """A store with tiny@1 to tiny@4, of which the second is production, and other@1."""
    store = in_place(place)
    for seed in range(4):
        publish(store, seed=seed)
    publish(store, "other", seed=77)
    store.set_alias("tiny", "production", 2)
    return store


def ref(text: str) -> ModelRef:
    return ModelRef.parse(text)


def run(place: Place, *arguments: str) -> int:
    return main([*arguments, "--store", place.location])


# --- rm ----------------------------------------------------------------------------------------


def test_a_removed_version_is_gone_with_its_files(store: Store, place: Place):
    store.remove(ref("tiny@3"))
    assert store.versions("tiny") == (1, 2, 4)
    with pytest.raises(VersionNotFoundError, match="no version 3"):
        store.load(ref("tiny@3"))
    left = [path for path in place.paths() if path.startswith("tiny/3/") or "removing" in path]
    assert all(b"weights" not in place.read(path) and len(place.read(path)) < 100 for path in left)
    assert store.verify(ref("tiny@4")).version == 4


def test_what_an_alias_names_stays(store: Store):
    store.set_alias("tiny", "canary", 4)
    for named in ("tiny@2", "tiny@4", "other@1"):
        with pytest.raises(StoreError, match="names it; promote another version first"):
            store.remove(ref(named))
    assert store.versions("tiny") == (1, 2, 3, 4)
    assert store.aliases("tiny") == {"production": 2, "canary": 4}


def test_the_number_of_a_removed_version_is_never_given_again(store: Store):
    store.remove(ref("tiny@4"))
    assert publish(store, seed=9) == 5
    assert store.versions("tiny") == (1, 2, 3, 5)
    with pytest.raises(VersionNotFoundError):
        store.remove(ref("tiny@4"))


def test_the_numbers_of_a_removed_model_are_never_given_again(store: Store):
    assert remove_model(store, "tiny") == [ref(f"tiny@{v}") for v in (4, 3, 2, 1)]
    assert store.names() == ("other",)
    with pytest.raises(ModelNotFoundError):
        store.aliases("tiny")
    assert publish(store) == 5
    assert store.aliases("tiny") == {"production": 5}


def test_the_same_version_can_be_copied_back_and_no_other(
    store: Store, place: Place, tmp_path: Path
):
    copy = Store(tmp_path / "copy")
    for version in (3, 4):
        copy_version(store, ref(f"tiny@{version}"), copy)
    before = {path: content for path, content in tree(place).items() if "/." not in path}
    store.remove(ref("tiny@3"))
    assert copy_version(copy, ref("tiny@3"), store)
    assert {path: content for path, content in tree(place).items() if "/." not in path} == before
    assert store.verify(ref("tiny@3")).version == 3

    store.remove(ref("tiny@4"))
    other = Store(tmp_path / "other")
    for seed in (5, 6, 7, 8):
        publish(other, seed=seed)
    with pytest.raises(PublishError, match="another tiny@4"):
        copy_version(other, ref("tiny@4"), store)
    assert 4 not in store.versions("tiny")


def test_a_damaged_version_can_be_removed(store: Store, place: Place):
    place.write("tiny/3/manifest.json", b"{")
    store.remove(ref("tiny@3"))
    assert store.versions("tiny") == (1, 2, 4)
    assert publish(store) == 5


def test_an_alias_cannot_be_set_on_a_version_that_was_just_removed(store: Store):
    store.remove(ref("tiny@3"))
    with pytest.raises(VersionNotFoundError):
        store.set_alias("tiny", "production", 3)
    assert store.aliases("tiny") == {"production": 2}


def test_a_cached_object_store_forgets_a_removed_version(tmp_path: Path):
    place = new_place("memory", tmp_path)
    store = in_place(place)
    for seed in range(2):
        publish(store, seed=seed)
    cached = open_store(place.location, cache=DiskCache(tmp_path / "cache", 10**9))
    assert cached.load(ref("tiny@2")).manifest.version == 2
    cached.remove(ref("tiny@2"))
    assert cached.versions("tiny") == (1,)
    with pytest.raises(VersionNotFoundError):
        cached.manifest(ref("tiny@2"))


def test_rm_says_what_it_removed_and_what_to_write(
    store: Store, place: Place, capsys: pytest.CaptureFixture[str]
):
    assert run(place, "rm", "tiny@3", "tiny@1") == 0
    assert capsys.readouterr().out == "removed tiny@3\nremoved tiny@1\n"
    for line, words in (
        (["rm", "tiny"], "tiny names no version"),
        (["rm", "tiny@2"], "production names it"),
        (["rm", "tiny@2", "--all"], "--all takes names"),
        (["rm", "nothing@1"], "no model 'nothing'"),
    ):
        assert run(place, *line) == 2
        assert words in capsys.readouterr().err
    assert run(place, "rm", "tiny", "--all") == 0
    assert capsys.readouterr().out == "removed tiny@4\nremoved tiny@2\n"
    assert store.names() == ("other",)


# --- shipped -----------------------------------------------------------------------------------


@pytest.fixture
def both(tmp_path: Path) -> Store:
    shipped = Store(tmp_path / "shipped")
    publish(shipped)
    publish(shipped, seed=1)
    both = Store(tmp_path / "own", shipped=shipped.root)
    assert publish(both, seed=2) == 3
    return both


def test_shipped_versions_are_never_removed_or_renamed(both: Store):
    with pytest.raises(
        StoreError, match=r"comes with zserve, in .*shipped, which is never written"
    ):
        both.remove(ref("tiny@2"))
    for change in (lambda: remove_model(both, "tiny"), lambda: rename_model(both, "tiny", "new")):
        with pytest.raises(StoreError, match=r"tiny@2.* comes with zserve"):
            change()
    assert both.versions("tiny") == (1, 2, 3)
    assert unused_versions(both, both.names(), keep=0) == [ref("tiny@3")]
    both.remove(ref("tiny@3"))
    assert publish(both) == 4


# --- rename ------------------------------------------------------------------------------------


def test_a_renamed_model_keeps_numbers_aliases_and_weights(store: Store, place: Place):
    store.remove(ref("tiny@3"))
    before = {version: store.load(ref(f"tiny@{version}")) for version in (1, 2, 4)}
    assert rename_model(store, "tiny", "new") == [ref(f"new@{v}") for v in (1, 2, 4)]
    assert store.names() == ("new", "other")
    assert store.aliases("new") == {"production": 2}
    for version, model in before.items():
        renamed = store.load(ref(f"new@{version}"))
        assert renamed.manifest.weights_sha256 == model.manifest.weights_sha256
        assert renamed.manifest.created_at == model.manifest.created_at
        assert renamed.manifest.description == model.manifest.description
        assert store.verify(ref(f"new@{version}")).name == "new"
        assert store.sealed(ref(f"new@{version}"))
        assert store.card(ref(f"new@{version}")).startswith(f"# new@{version}")
        assert "tiny@" not in store.card(ref(f"new@{version}"))


def test_a_model_gets_its_former_name_back_with_the_same_bytes(store: Store):
    before = {version: store.files(ref(f"tiny@{version}")) for version in (1, 2, 3, 4)}
    rename_model(store, "tiny", "new")
    rename_model(store, "new", "tiny")
    assert {version: store.files(ref(f"tiny@{version}")) for version in before} == before
    assert store.aliases("tiny") == {"production": 2}
    assert store.names() == ("other", "tiny")


@pytest.mark.parametrize("model", ["mnist-beta-10@1", "letters@3", "lab@4"])
def test_shipped_versions_get_their_former_names_back(tmp_path: Path, model: str):
    """Manifests of several releases differ in indentation, in escapes and in the order of their keys."""
    shipped, store = Store(CHECKOUT / "weights"), Store(tmp_path)
    files = {**shipped.files(ref(model))}
    files.pop(SIGNATURE, None)
    assert store.add(ref(model), files)
    rename_model(store, ref(model).name, "new")
    rename_model(store, "new", ref(model).name)
    assert store.files(ref(model)) == files


def test_a_name_that_is_used_is_refused(store: Store):
    publish(store, "other", seed=5)
    publish(store, "other", seed=6)
    with pytest.raises(PublishError, match="number other@1 is taken by another version"):
        rename_model(store, "tiny", "other")
    publish(store, "more")
    for _ in range(4):
        publish(store, "more", seed=7)
    with pytest.raises(PublishError, match="there is a model more, with the versions 5"):
        rename_model(store, "tiny", "more")
    with pytest.raises(StoreError, match="has that name already"):
        rename_model(store, "tiny", "tiny")
    assert store.versions("tiny") == (1, 2, 3, 4)
    assert store.aliases("tiny") == {"production": 2}


def test_a_name_that_is_no_name_is_refused_before_anything_is_written(
    store: Store, place: Place, capsys: pytest.CaptureFixture[str]
):
    before = tree(place)
    for name in ("New", "../up", "a b", ""):
        assert run(place, "rename", "tiny", name) == 2
        assert "is not a model name" in capsys.readouterr().err
    assert tree(place) == before


def test_an_interrupted_rename_is_continued_by_the_same_command(
    store: Store, place: Place, capsys: pytest.CaptureFixture[str]
):
    place.write("tiny/4/card.md", b"changed by somebody")
    with pytest.raises(StoreError, match=r"card\.md"):
        rename_model(store, "tiny", "new")
    assert store.versions("tiny") == (1, 2, 3, 4)
    assert store.versions("new") == (1, 2, 3)
    store.remove(ref("tiny@4"))
    assert run(place, "rename", "tiny", "new") == 0
    assert capsys.readouterr().out.splitlines()[0] == "tiny@1 is new@1"
    assert store.names() == ("new", "other")
    assert store.aliases("new") == {"production": 2}


# --- prune -------------------------------------------------------------------------------------


def test_a_prune_keeps_what_an_alias_names_and_the_newest(
    store: Store, place: Place, capsys: pytest.CaptureFixture[str]
):
    assert run(place, "prune") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:2] == ["would remove tiny@1", "would remove tiny@3"]
    assert "nothing was removed; add --yes" in printed
    assert store.versions("tiny") == (1, 2, 3, 4)
    assert run(place, "prune", "--yes") == 0
    assert "2 versions, 0.0 MB" in capsys.readouterr().out
    assert store.versions("tiny") == (2, 4)
    assert store.versions("other") == (1,)
    assert run(place, "prune", "tiny", "--keep", "0", "--yes") == 0
    assert store.versions("tiny") == (2,)
    assert run(place, "prune", "--yes") == 0
    assert "0 versions" in capsys.readouterr().out.splitlines()[-1]


def test_a_prune_keeps_as_many_as_asked(store: Store, place: Place):
    assert run(place, "prune", "--keep", "3", "--yes") == 0
    assert store.versions("tiny") == (2, 3, 4)
    with pytest.raises(SystemExit):
        run(place, "prune", "--keep", "-1")


# --- list --------------------------------------------------------------------------------------


def test_list_tells_age_and_size_also_as_json(
    store: Store, place: Place, capsys: pytest.CaptureFixture[str]
):
    assert run(place, "list") == 0
    titles, first, *_ = capsys.readouterr().out.splitlines()
    assert titles.split()[:4] == ["NAME", "VERSION", "PUBLISHED", "AGE"]
    assert first.split()[:2] == ["other", "1"]
    assert " 0 min  " in first
    assert run(place, "list", "tiny@2", "other", "--json") == 0
    entries = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["version"]) for each in entries] == [("tiny", 2), ("other", 1)]
    assert entries[0]["aliases"] == ["production"]
    assert entries[0]["damaged"] is None
    assert 0 <= entries[0]["age_days"] < 1
    assert entries[0]["size_bytes"] == sum(
        file.size_bytes for file in store.manifest(ref("tiny@2")).files.values()
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")]
)
def test_list_shows_an_age_in_its_largest_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seconds: int, text: str
):
    store = Store(tmp_path)
    publish(store)
    path = tmp_path / "tiny" / "1" / "manifest.json"
    document = json.loads(path.read_text())
    document["created_at"] = (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()
    path.write_text(json.dumps(document))
    path.with_name(CHECKSUMS).unlink()
    assert main(["list", "--store", str(tmp_path)]) == 0
    assert f" {text}  made" in capsys.readouterr().out
