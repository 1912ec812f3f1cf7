"""An object store: what is incomplete is not seen, and what was abandoned is deleted."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from obstore.store import MemoryStore

from model_store.errors import InvalidAddressError, VersionNotFoundError
from model_store.spec import ModelRef
from model_store.store import Store, open_store
from model_store.store.objects import Objects
from tests.unit.backends import ObjectPlace, tree
from tests.unit.models import a_card, tiny_description, tiny_weights

REF = ModelRef.parse("tiny@1")


def publish(store: Store) -> int:
    return store.publish("tiny", tiny_description(), tiny_weights(), card=a_card).version


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


def a_day_later() -> datetime:
    return datetime.now(UTC) + timedelta(days=1, minutes=1)


def test_an_object_store_of_another_opening_is_the_same():
    publish(open_store("memory://the-same"))
    assert open_store("memory://the-same").versions("tiny") == (1,)
    assert open_store("memory://another").names() == ()


def test_a_version_is_there_once_its_manifest_is():
    place = ObjectPlace(f"memory://{uuid.uuid4()}")
    store = open_store(place.location)
    publish(store)
    manifest = place.read("tiny/1/manifest.json")
    for content in (None, b""):
        place.delete("tiny/1/manifest.json")
        if content is not None:
            place.write("tiny/1/manifest.json", content)
        assert store.names() == ()
        assert not store.has(REF)
    place.write("tiny/1/manifest.json", manifest)
    assert store.versions("tiny") == (1,)
    assert store.has(REF)


def test_the_number_of_a_publisher_that_was_killed_is_not_used_again():
    place = ObjectPlace(f"memory://{uuid.uuid4()}")
    store = open_store(place.location)
    publish(store)
    place.delete("tiny/1/manifest.json")
    before = tree(place)
    assert publish(store) == 2
    assert {path: content for path, content in tree(place).items() if "/1/" in path} == before


def test_what_a_killed_publisher_left_is_deleted_a_day_later(memory: MemoryStore):
    store = Store(Objects("memory://", memory))
    publish(store)
    assert [entry["path"] for entry in memory.list().collect() if "manifest" in entry["path"]]
    memory.delete("tiny/1/manifest.json")
    publish(store)
    assert "tiny/1/weights.safetensors" in {entry["path"] for entry in memory.list().collect()}
    later = Store(Objects("memory://", memory, now=a_day_later))
    assert publish(later) == 3
    left = {entry["path"] for entry in memory.list().collect() if "/1/" in entry["path"]}
    assert left == {"tiny/1/.publishing", "tiny/1/manifest.json"}
    assert later.versions("tiny") == (2, 3)
    with pytest.raises(VersionNotFoundError):
        later.load(REF)


def test_a_publisher_that_is_slower_than_a_day_does_not_complete_its_version(memory: MemoryStore):
    """Another publisher has deleted its files meanwhile."""
    files = Store(Objects("memory://", memory))
    publish(files)
    whole = files.files(REF)
    slow = Objects("memory://", memory)
    memory.put("slow/1/.publishing", b"a claim")
    memory.put("slow/1/weights.safetensors", whole["weights.safetensors"])
    Objects("memory://", memory, now=a_day_later).create("slow", 2, whole)
    assert not slow.create("slow", 1, whole)
    assert slow.versions("slow") == {2}


def test_a_version_that_another_tool_is_copying_is_not_touched():
    place = ObjectPlace("memory://copied-by-hand")
    place.write("tiny/1/weights.safetensors", b"of another version")
    store = open_store(place.location)
    assert publish(store) == 2
    assert place.read("tiny/1/weights.safetensors") == b"of another version"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("S3://bucket", "S3:// is no kind of store"),
        ("http://bucket/x", "http:// is no kind of store"),
        ("s3://", "names no bucket"),
        ("gs:///", "names no bucket"),
        ("az://", "names no container; write az://container/prefix"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, problem: str):
    with pytest.raises(InvalidAddressError, match=problem):
        open_store(address)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "Account must be specified; set AZURE_STORAGE_ACCOUNT_NAME"),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "not base64"}, "Invalid Access Key"),
        ({"AZURE_STORAGE_SAS_TOKEN": "nonsense"}, "Missing component in SAS query pair"),
        ({"AZURE_STORAGE_ENDPOINT": "localhost"}, "Url: localhost"),
    ],
)
def test_variables_of_azure_that_mean_nothing_are_one_line(
    variables: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
):
    for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "SAS_TOKEN", "ENDPOINT", "USE_EMULATOR"):
        monkeypatch.delenv(f"AZURE_STORAGE_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidAddressError, match=problem) as refused:
        open_store("az://models/prefix")
    assert "\n" not in str(refused.value)


def test_a_version_without_checksums_is_sealed():
    place = ObjectPlace(f"memory://{uuid.uuid4()}")
    store = open_store(place.location)
    publish(store)
    sums = place.read("tiny/1/SHA256SUMS")
    place.delete("tiny/1/SHA256SUMS")
    assert not store.sealed(REF)
    store.seal(REF)
    assert place.read("tiny/1/SHA256SUMS") == sums
