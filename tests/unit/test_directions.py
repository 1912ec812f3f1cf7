"""Directions of the latent space, as a version stores them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from model_store.directions import NO_DIRECTIONS, Directions, from_arrays, to_arrays
from model_store.errors import CorruptVersionError, ShapeError
from model_store.spec import Direction, DirectionEffect, DirectionTable, ModelRef
from model_store.store import Store
from model_store.store.tensors import to_safetensors
from tests.unit.models import a_card, tiny_description, tiny_weights

REF = ModelRef(name="tiny", version=1)
NAMES = ("slant", "class:7")
STEPS = np.array([[0.1, -0.2, 1e-30], [1 / 3, 2.0, 0.0]], np.float32)


def table(names: tuple[str, ...] = NAMES) -> DirectionTable:
    effect = DirectionEffect(by=2, changes={"slant": 1.5}, keeps_class=0.97)
    return DirectionTable(
        protocol="by hand", entries=tuple(Direction(name=name, effects=(effect,)) for name in names)
    )


def publish(root: Path, directions: Directions, described: DirectionTable | None) -> None:
    description = tiny_description().model_copy(update={"directions": described})
    Store(root).publish("tiny", description, tiny_weights(), card=a_card, directions=directions)


def replace_file(root: Path, content: bytes) -> None:
    """Replace the directions of a published version, as somebody with access to the disk can."""
    folder = root / "tiny" / "1"
    (folder / "directions.safetensors").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["directions.safetensors"] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "SHA256SUMS").unlink()


def test_directions_are_loaded_with_the_bits_that_were_published(tmp_path: Path):
    publish(tmp_path, Directions(NAMES, STEPS), table())
    stored = Store(tmp_path).load(REF)
    assert stored.directions.names == NAMES
    assert stored.directions.steps.tobytes() == STEPS.tobytes()
    assert stored.directions.step("class:7").tolist() == STEPS[1].tolist()
    assert stored.manifest.directions == table()
    assert stored.manifest.direction_names == NAMES
    assert not stored.directions.before_flow


def test_publishing_the_same_directions_twice_gives_the_same_file(tmp_path: Path):
    for folder in ("a", "b"):
        publish(tmp_path / folder, Directions(NAMES, STEPS), table())
    one, other = (
        (tmp_path / folder / "tiny" / "1" / "directions.safetensors").read_bytes()
        for folder in ("a", "b")
    )
    assert one == other


def test_a_version_without_directions_is_loaded_as_before(tmp_path: Path):
    publish(tmp_path, NO_DIRECTIONS, None)
    stored = Store(tmp_path).load(REF)
    assert len(stored.directions) == 0
    assert stored.manifest.direction_names == ()
    assert "directions.safetensors" not in stored.manifest.files


@pytest.mark.parametrize(
    ("directions", "described", "message"),
    [
        (Directions(NAMES, STEPS), None, "has 2 directions, the manifest names 0"),
        (NO_DIRECTIONS, table(), "has 0 directions, the manifest names 2"),
        (Directions(NAMES[::-1], STEPS), table(), "the manifest names 2"),
        (Directions(NAMES, np.ones((2, 9), np.float32)), table(), "has 9 latent dimensions"),
        (Directions(NAMES, STEPS, before_flow=True), table(), "the spec has none"),
    ],
)
def test_directions_that_do_not_fit_the_description_are_not_published(
    tmp_path: Path, directions: Directions, described: DirectionTable | None, message: str
):
    with pytest.raises(ShapeError, match=message):
        publish(tmp_path, directions, described)
    assert not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "expected steps, found nothing"),
        ({"steps": STEPS, "names": STEPS}, "expected steps, found names, steps"),
        ({"steps": STEPS.astype(np.float64)}, "float32 is expected"),
        ({"steps": STEPS[0]}, "steps of shape"),
        ({"steps": STEPS[:1]}, "2 directions have steps of shape"),
        ({"steps": STEPS * np.float32(np.nan)}, "NaN or infinite"),
        ({"steps": np.full((2, 3), -np.inf, np.float32)}, "NaN or infinite"),
        ({"steps": STEPS, "in_z": np.ones(2, np.uint8)}, "one uint8 is expected"),
        ({"steps": STEPS, "in_z": np.ones((), np.uint8)}, "made for a flow"),
        ({"steps": np.ones((2, 9), np.float32)}, "has 9 latent dimensions"),
    ],
)
def test_a_replaced_file_that_does_not_fit_is_refused_when_it_is_loaded(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
):
    publish(tmp_path, Directions(NAMES, STEPS), table())
    replace_file(tmp_path, to_safetensors(arrays))
    with pytest.raises(CorruptVersionError, match=message):
        Store(tmp_path).load(REF)


def test_a_changed_byte_is_noticed_by_its_checksum(tmp_path: Path):
    publish(tmp_path, Directions(NAMES, STEPS), table())
    path = tmp_path / "tiny" / "1" / "directions.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptVersionError, match=r"directions\.safetensors is .* with SHA-256"):
        Store(tmp_path).load(REF)


def test_a_manifest_that_names_directions_without_their_file_is_refused(tmp_path: Path):
    publish(tmp_path, Directions(NAMES, STEPS), table())
    folder = tmp_path / "tiny" / "1"
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["directions.safetensors"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(CorruptVersionError, match="the manifest names directions"):
        Store(tmp_path).load(REF)


def test_names_are_unique_and_few():
    with pytest.raises(ValueError, match="two directions have one name"):
        Directions(("slant", "slant"), STEPS)
    many = tuple(map(str, range(1025)))
    with pytest.raises(ValueError, match="more than 1024"):
        Directions(many, np.zeros((1025, 3), np.float32))


def test_a_name_that_is_missing_has_no_step():
    with pytest.raises(KeyError):
        Directions(NAMES, STEPS).step("width")


def test_arrays_keep_the_space_of_the_directions():
    before = Directions(NAMES, STEPS, before_flow=True)
    assert from_arrays(NAMES, to_arrays(before)).before_flow
    assert to_arrays(Directions(NAMES, STEPS)).keys() == {"steps"}
