"""An object store behind a cache on the disk: asked seldom, and not needed for a while."""

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from model_store.errors import (
    ChecksumError,
    ModelNotFoundError,
    StoreUnavailableError,
    VersionNotFoundError,
)
from model_store.spec import ModelRef
from model_store.store import DiskCache, Store, open_store
from model_store.store.cached import Cached
from model_store.store.objects import Fetched, Objects, open_objects
from tests.unit.backends import ObjectPlace
from tests.unit.models import a_card, tiny_description, tiny_weights

REF = ModelRef.parse("tiny@1")


class Counting(Objects):
    """An object store that counts what it is asked for, and that can be away."""

    def __init__(self, address: str) -> None:
        super().__init__(address, open_objects(address)._store)
        self.asked: list[str] = []
        self.away = False

    def _count(self, what: str) -> None:
        self.asked.append(what)
        if self.away:
            raise StoreUnavailableError(f"{self} does not answer: made up")

    def listing(self) -> dict[str, set[int]]:
        self._count("list")
        return super().listing()

    def fetch(
        self, path: str, *, etag: str | None = None, max_bytes: int | None = None
    ) -> Fetched | None:
        self._count(f"{'compare' if etag else 'fetch'} {path}")
        return super().fetch(path, etag=etag, max_bytes=max_bytes)


@pytest.fixture
def address() -> str:
    return f"memory://{uuid.uuid4()}"


@pytest.fixture
def objects(address: str) -> Counting:
    return Counting(address)


@pytest.fixture
def store(objects: Counting, tmp_path: Path) -> Store:
    publish(open_store(str(objects)))
    return cached(objects, tmp_path)


def publish(store: Store, seed: int = 0) -> int:
    return store.publish("tiny", tiny_description(), tiny_weights(seed), card=a_card).version


def cached(objects: Objects, folder: Path, max_bytes: int = 10**6) -> Store:
    """Open the store as another process would: nothing but the disk is shared."""
    return Store(Cached(objects, DiskCache(folder / "cache", max_bytes)))


def grow_old(folder: Path, seconds: float = 3600) -> None:
    """Let all copies be older than they may be without being compared."""
    for path in (folder / "cache" / "documents").iterdir():
        os.utime(path, (time.time() - seconds,) * 2)


def during(objects: Counting, call: Callable[[], object]) -> list[str]:
    objects.asked.clear()
    call()
    return list(objects.asked)


def test_a_version_that_is_loaded_again_is_not_fetched_again(
    store: Store, objects: Counting, tmp_path: Path
):
    first = during(objects, lambda: store.load(REF))
    assert sorted(first) == [
        "fetch tiny/1/SHA256SUMS",
        "fetch tiny/1/card.md",
        "fetch tiny/1/manifest.json",
        "fetch tiny/1/weights.safetensors",
        "list",
    ]
    assert during(objects, lambda: store.load(REF)) == []
    assert during(objects, lambda: cached(objects, tmp_path).load(REF)) == []


def test_an_old_copy_is_compared_and_not_fetched(store: Store, objects: Counting, tmp_path: Path):
    store.load(REF)
    grow_old(tmp_path)
    assert sorted(during(objects, lambda: store.load(REF))) == [
        "compare tiny/1/SHA256SUMS",
        "compare tiny/1/manifest.json",
        "list",
    ]
    assert during(objects, lambda: store.load(REF)) == []


def test_following_an_alias_costs_one_comparison(store: Store, objects: Counting, tmp_path: Path):
    store.set_alias("tiny", "production", 1)
    name = ModelRef.parse("tiny")
    store.resolve(name)
    assert during(objects, lambda: store.resolve(name)) == []
    grow_old(tmp_path, 10)
    assert during(objects, lambda: [store.resolve(name) for _ in range(9)]) == [
        "compare tiny/aliases.json"
    ]


def test_a_promotion_by_another_process_is_seen(store: Store, objects: Counting, tmp_path: Path):
    publish(open_store(str(objects)), seed=1)
    assert store.resolve(ModelRef.parse("tiny")).version == 1
    open_store(str(objects)).set_alias("tiny", "production", 2)
    assert store.resolve(ModelRef.parse("tiny")).version == 1
    grow_old(tmp_path, 10)
    assert store.resolve(ModelRef.parse("tiny")).version == 2


def test_ones_own_promotion_is_seen_at_once(store: Store, objects: Counting):
    publish(open_store(str(objects)), seed=1)
    assert store.aliases("tiny") == {"production": 1}
    store.set_alias("tiny", "production", 2)
    assert store.aliases("tiny") == {"production": 2}


def test_a_version_that_is_named_is_looked_for_and_not_more_often_than_once_a_second(
    store: Store, objects: Counting, tmp_path: Path
):
    store.versions("tiny")
    publish(open_store(str(objects)))
    assert store.versions("tiny") == (1,)
    grow_old(tmp_path, 2)
    assert store.load(ModelRef.parse("tiny@2")).manifest.version == 2
    assert store.versions("tiny") == (1, 2)
    for name in ("tiny@3", "nobody"):

        def look(name: str = name) -> None:
            for _ in range(9):
                with pytest.raises((VersionNotFoundError, ModelNotFoundError)):
                    store.load(ModelRef.parse(name))

        assert during(objects, look) == []


# --- while the store is away ---


def test_everything_that_was_read_is_read_from_the_copies(
    store: Store, objects: Counting, tmp_path: Path
):
    store.set_alias("tiny", "production", 1)
    store.load(ModelRef.parse("tiny"))
    grow_old(tmp_path)
    objects.away = True
    other = cached(objects, tmp_path)
    assert other.names() == ("tiny",)
    assert other.unavailable == f"{objects} does not answer: made up"
    assert other.resolve(ModelRef.parse("tiny")) == REF
    assert other.load(REF).weights.keys() == tiny_weights().keys()
    assert other.card(REF) == "# tiny@1\n"


def test_a_store_that_is_away_is_not_asked_for_every_copy(
    store: Store, objects: Counting, tmp_path: Path
):
    store.load(REF)
    grow_old(tmp_path)
    objects.away = True
    asked = during(objects, lambda: [store.load(REF) for _ in range(5)])
    assert len(asked) == 1


def test_what_was_never_read_is_missing_and_not_called_damaged(store: Store, objects: Counting):
    store.versions("tiny")
    objects.away = True
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        store.load(REF)


def test_it_is_noticed_that_the_store_answers_again(
    store: Store, objects: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store.load(REF)
    monkeypatch.setattr("model_store.store.cached.AWAY_S", 0.0)
    for objects.away in (True, False):
        grow_old(tmp_path)
        store.load(REF)
        assert (store.unavailable is not None) is objects.away


def test_a_promotion_needs_the_store(store: Store, objects: Counting):
    store.aliases("tiny")
    objects.away = True
    with pytest.raises(StoreUnavailableError):
        store.set_alias("tiny", "production", 1)
    assert store.aliases("tiny") == {"production": 1}


# --- damage ---


def test_a_damaged_copy_is_fetched_again(store: Store, objects: Counting, tmp_path: Path):
    store.load(REF)
    for path in (tmp_path / "cache" / "files").iterdir():
        path.write_bytes(b"damaged")
    fetched = during(objects, lambda: store.load(REF))
    assert sorted(fetched) == ["fetch tiny/1/card.md", "fetch tiny/1/weights.safetensors"]


def test_a_file_that_is_damaged_in_the_store_is_refused_and_not_kept(
    store: Store, objects: Counting, tmp_path: Path, address: str
):
    place = ObjectPlace(address)
    content = place.read("tiny/1/weights.safetensors")
    place.write("tiny/1/weights.safetensors", content[:-1] + b"\x00\x01")
    with pytest.raises(ChecksumError, match=r"weights\.safetensors"):
        store.load(REF)
    place.write("tiny/1/weights.safetensors", content)
    store.load(REF)


def test_a_version_that_was_replaced_against_the_rules_is_not_mixed_with_its_copy(
    store: Store, objects: Counting, tmp_path: Path, address: str
):
    """Somebody emptied the bucket and published the same number again."""
    before = store.load(REF).manifest.weights_sha256
    place = ObjectPlace(address)
    for path in place.paths():
        place.delete(path)
    publish(open_store(address), seed=9)
    grow_old(tmp_path)
    assert store.load(REF).manifest.weights_sha256 != before


def test_a_cache_that_is_too_small_for_a_version_still_serves_it(
    store: Store, objects: Counting, tmp_path: Path
):
    small = cached(objects, tmp_path / "small", max_bytes=1)
    for _ in range(2):
        assert small.load(REF).weights.keys() == tiny_weights().keys()
