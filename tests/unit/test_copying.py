"""A version that is copied under a new number has all files of the original."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.soak.service import publish_twice
from model_store.directions import Directions
from model_store.errors import ChecksumError, PublishError
from model_store.spec import Description, Direction, DirectionTable, Manifest, ModelRef
from model_store.store import SHIPPED, Store
from tests.unit.arithmetic.networks import SPECS, exact_network
from tests.unit.compression.codecs import table
from tests.unit.exact_versions import publish_exact
from tests.unit.models import a_card, tiny_description
from tests.unit.typicality_tables import table as typicality_table

SPEC = SPECS["conv"]


def publish_with_every_optional_file(store: Store) -> Manifest:
    directions = DirectionTable(protocol="made up", entries=(Direction(name="slant"),))
    description = tiny_description().model_copy(
        update={"spec": SPEC, "latents": None, "directions": directions}
    )
    return store.publish(
        "full", description, None, card=a_card, network=exact_network("conv"),
        figures={"samples": b"\x89PNG\r\n\x1a\n"}, pixels=table("conv"), typicality=typicality_table(),
        directions=Directions(("slant",), np.ones((1, SPEC.latent), np.float32)),
    )  # fmt: skip


@pytest.fixture
def original(tmp_path: Path) -> Store:
    store = Store(tmp_path / "original")
    publish_with_every_optional_file(store)
    return store


def contents(store: Store, manifest: Manifest) -> dict[str, bytes]:
    folder = store.root / manifest.name / str(manifest.version)
    return {file: (folder / file).read_bytes() for file in manifest.files}


def test_every_file_and_the_description_are_those_of_the_original(original: Store, tmp_path: Path):
    ref = ModelRef.parse("full@1")
    copy = Store(tmp_path / "copy")
    manifests = [original.copy(ref, into=copy) for _ in range(2)]
    assert [manifest.version for manifest in manifests] == [1, 2]
    source = original.manifest(ref)
    for manifest in manifests:
        assert contents(copy, manifest) == contents(original, source)
        for field in Description.model_fields:
            assert getattr(manifest, field) == getattr(source, field)
        assert copy.verify(manifest.ref) == manifest
        assert copy.sealed(manifest.ref)


def test_a_version_may_be_copied_within_its_store(original: Store):
    assert original.copy(ModelRef.parse("full@1"), into=original).version == 2


def test_a_damaged_file_is_not_copied(original: Store, tmp_path: Path):
    (original.root / "full" / "1" / "samples.png").write_bytes(b"something else")
    copy = Store(tmp_path / "copy")
    with pytest.raises(ChecksumError, match=r"samples\.png"):
        original.copy(ModelRef.parse("full@1"), into=copy)
    assert copy.names() == ()


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path):
    store = Store(tmp_path / "original")
    manifest = publish_exact(store.root)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PublishError, match="cannot publish exact"):
        store.copy(manifest.ref, into=Store(tmp_path / "file"))


@pytest.mark.parametrize("name", Store(SHIPPED).names())
def test_the_soak_can_load_its_copies_of_every_shipped_model(name: str, tmp_path: Path):
    publish_twice(tmp_path, name)
    copies, shipped = Store(tmp_path), Store(SHIPPED)
    latest = shipped.manifest(ModelRef(name=name, version=shipped.versions(name)[-1]))
    assert copies.versions(name) == (1, 2)
    copy = copies.load(ModelRef(name=name, version=2))
    assert copy.manifest.files == latest.files
