"""The typicality table as a file of a version: checksummed, optional, bounded."""

from pathlib import Path

import pytest

from model_store.errors import ChecksumError, CorruptVersionError
from model_store.spec import ModelRef
from model_store.store import Store
from model_store.typicality import MAX_BYTES
from tests.unit.models import a_card, replace_file, tiny_description, tiny_weights
from tests.unit.typicality_tables import table

REF = ModelRef.parse("tiny@1")
FILE = "typicality.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card, typicality=table())
    return store


def rewrite(store: Store, content: bytes) -> None:
    replace_file(store.root / "tiny" / "1", FILE, content)


def test_a_version_is_loaded_with_its_table(store: Store):
    assert FILE in store.manifest(REF).files
    assert store.load(REF).typicality == table()
    store.verify(REF)


def test_a_version_that_was_published_without_a_table_has_none(tmp_path: Path):
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    assert store.load(REF).typicality is None


def test_a_changed_byte_of_the_table_is_noticed(store: Store):
    path = store.root / "tiny" / "1" / FILE
    path.write_bytes(path.read_bytes().replace(b"64", b"65"))
    with pytest.raises(ChecksumError, match=r"typicality\.json"):
        store.load(REF)


@pytest.mark.parametrize(
    "content", [b"{}", b"null", b"\xff", b"[" * 100_000, b" " * MAX_BYTES + b"{}"]
)
def test_a_table_that_is_none_refuses_the_version_by_its_name(store: Store, content: bytes):
    rewrite(store, content)
    with pytest.raises(CorruptVersionError, match=r"tiny@1: typicality\.json: .*republish it"):
        store.load(REF)
