"""A reader refuses whatever the manifest does not vouch for, and names it."""

import json
import pickle  # noqa: TID251 (to make the one that must not be opened)
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    ManifestError,
    NonFiniteError,
    ShapeError,
)
from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from model_store.store.checksums import record
from tests.unit.models import a_card, reseal, tiny_description, tiny_weights

REF = ModelRef.parse("tiny@1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.publish(
        "tiny", tiny_description(), tiny_weights(), card=a_card, figures={"samples": b"png"}
    )
    return store


def folder(store: Store) -> Path:
    return store.root / "tiny" / "1"


def rewrite_weights(store: Store, content: bytes) -> None:
    """Replace the weights and make the checksums vouch for them, as an attacker would."""
    path = folder(store) / "manifest.json"
    manifest = Manifest.model_validate_json(path.read_bytes())
    files = {**manifest.files, "weights.safetensors": record(content)}
    path.write_text(manifest.model_copy(update={"files": files}).model_dump_json())
    (folder(store) / "weights.safetensors").write_bytes(content)
    reseal(folder(store))


@pytest.mark.parametrize("position", [0, 8, 100, -1])
def test_one_flipped_bit_in_the_weights_is_found(store: Store, position: int):
    path = folder(store) / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChecksumError, match=r"tiny@1: weights\.safetensors is .* republish it"):
        store.load(REF)


@pytest.mark.parametrize("filename", ["card.md", "samples.png", "weights.safetensors"])
def test_verify_finds_a_changed_and_a_missing_file(store: Store, filename: str):
    path = folder(store) / filename
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    with pytest.raises(ChecksumError, match=filename):
        store.verify(REF)
    path.unlink()
    with pytest.raises(ChecksumError, match=f"cannot read {filename}"):
        store.verify(REF)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(store: Store):
    rewrite_weights(store, save(tiny_weights() | {"to_mu.bias": torch.zeros(4)}))
    with pytest.raises(
        ShapeError,
        match=r"tiny@1: tensor to_mu\.bias is \(4,\) float32, the spec asks for \(3,\) float32",
    ):
        store.load(REF)


def test_a_tensor_of_another_type_is_named_with_both_types(store: Store):
    rewrite_weights(store, save(tiny_weights() | {"to_mu.bias": torch.zeros(3).double()}))
    with pytest.raises(ShapeError, match=r"\(3,\) float64, the spec asks for \(3,\) float32"):
        store.load(REF)


def test_a_missing_and_a_superfluous_tensor_are_named(store: Store):
    weights = tiny_weights()
    bias = weights.pop("to_mu.bias")
    rewrite_weights(store, save(weights))
    with pytest.raises(ShapeError, match=r"tensor to_mu\.bias is missing"):
        store.load(REF)
    rewrite_weights(store, save(weights | {"to_mu.bias": bias, "extra": bias.clone()}))
    with pytest.raises(ShapeError, match="tensor extra is not part of the spec"):
        store.load(REF)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_value_that_is_not_finite_is_refused(store: Store, value: float):
    weights = tiny_weights()
    weights["to_mu.weight"][0, 0] = value
    rewrite_weights(store, save(weights))
    with pytest.raises(NonFiniteError, match=r"tensor to_mu\.weight holds 1 values"):
        store.load(REF)


def test_a_pickle_in_place_of_the_weights_is_not_opened(store: Store, tmp_path: Path):
    bomb = tmp_path / "opened"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (bomb,)

    rewrite_weights(store, pickle.dumps(Bomb()))
    with pytest.raises(CorruptVersionError, match="unreadable"):
        store.load(REF)
    assert not bomb.exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format_version": 2}, "format_version"),
        ({"version": 2}, "belongs to tiny@2"),
        ({"name": "other"}, "belongs to other@1"),
        ({"surprise": 1}, "surprise"),
        ({"files": {}}, r"lists no weights\.safetensors"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "size_bytes": 1}}}, "files"),
        ({"spec": {"network": {"kind": "transformer"}, "latent": 2}}, "network"),
    ],
)
def test_a_manifest_that_is_not_right_is_refused_with_the_field(
    store: Store, change: dict[str, object], problem: str
):
    path = folder(store) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ManifestError, match=problem):
        store.load(REF)


@pytest.mark.parametrize("content", [b"", b"{", b"null", b"\xff\xfe", b"[]"])
def test_a_manifest_that_is_no_json_object_is_refused(store: Store, content: bytes):
    (folder(store) / "manifest.json").write_bytes(content)
    with pytest.raises(ManifestError, match=r"tiny@1: manifest\.json is not valid"):
        store.load(REF)


def test_a_version_without_a_manifest_is_refused(store: Store):
    (folder(store) / "manifest.json").unlink()
    with pytest.raises(ManifestError, match=r"tiny@1: cannot read manifest\.json"):
        store.load(REF)
