"""Exact versions in the store: proved when they are loaded, refused if they were changed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model_store.arithmetic import file as exact_file
from model_store.arithmetic import golden
from model_store.arithmetic.program import Dense, ExactNetwork
from model_store.arithmetic.proof import ProofError
from model_store.compression.pixels import CountedPixels
from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    FloatWeightsNotFoundError,
    GoldenHashError,
    ManifestError,
    PublishError,
)
from model_store.spec import Manifest, ModelRef
from model_store.store import Store
from model_store.store.cli import main
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae
from tests.unit.compression.codecs import table
from tests.unit.exact_versions import publish_compressing
from tests.unit.models import a_card, replace_file, reseal, tiny_description, tiny_weights

REF = ModelRef.parse("tiny@1")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def publish(store: Store, kind: str = "mlp", *, with_float: bool = True) -> Manifest:
    spec = SPECS[kind]
    description = tiny_description().model_copy(update={"spec": spec, "latents": None})
    weights = float_vae(kind).state_dict() if with_float else None
    return store.publish("tiny", description, weights, card=a_card, network=exact_network(kind))


def rewrite(store: Store, filename: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of the version, with a checksum that fits."""
    folder = store.root / "tiny" / "1"
    replace_file(folder, filename, change((folder / filename).read_bytes()))


def change_weights(change: Callable[[Dense], Dense]) -> Callable[[bytes], bytes]:
    """Change the last dense layer of the encoder."""

    def changed(content: bytes) -> bytes:
        network = exact_file.from_bytes(content)
        last = network.encode[-1]
        assert isinstance(last, Dense)
        return exact_file.to_bytes(replace(network, encode=(*network.encode[:-1], change(last))))

    return changed


def same(one: ExactNetwork, two: ExactNetwork) -> bool:
    return exact_file.to_bytes(one) == exact_file.to_bytes(two)


@pytest.mark.parametrize("kind", SPECS)
def test_an_exact_version_is_loaded_as_it_was_published(store: Store, kind: str):
    manifest = publish(store, kind)
    loaded = store.load(REF)
    assert manifest.arithmetic == "exact-1"
    assert loaded.network is not None
    assert same(loaded.network, exact_network(kind))
    assert loaded.weights == {}
    assert loaded.golden == golden.compute(exact_network(kind), SPECS[kind], "onnx")
    assert manifest.weights_sha256 == manifest.files["exact.safetensors"].sha256


def test_golden_hashes_are_sorted_json(store: Store):
    publish(store)
    text = (store.root / "tiny" / "1" / "golden.json").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_the_float_weights_of_an_exact_version_can_be_trained_on(store: Store):
    publish(store)
    weights = store.float_weights(REF)
    expected = float_vae("mlp").state_dict()
    assert all(np.array_equal(weights[name], tensor) for name, tensor in expected.items())


def test_an_exact_version_without_float_weights_has_none_to_train_on(store: Store):
    publish(store, with_float=False)
    assert not (store.root / "tiny" / "1" / "weights.safetensors").exists()
    store.verify(REF)
    with pytest.raises(FloatWeightsNotFoundError, match="tiny@1 is published without float"):
        store.float_weights(REF)


def test_a_float_version_has_no_exact_network(store: Store):
    manifest = store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    loaded = store.load(REF)
    assert (loaded.network, loaded.golden) == (None, {})
    assert manifest.weights_sha256 == manifest.files["weights.safetensors"].sha256
    assert store.float_weights(REF).keys() == loaded.weights.keys()


def test_a_manifest_that_names_no_arithmetic_is_one_of_float(store: Store):
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    path = store.root / "tiny" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["arithmetic"]
    path.write_text(json.dumps(manifest))
    reseal(path.parent)
    assert store.verify(REF).arithmetic == "float"


def test_a_version_needs_a_network_of_some_kind(store: Store):
    with pytest.raises(PublishError, match="neither weights nor an exact network"):
        store.publish("tiny", tiny_description(), None, card=a_card)
    assert store.names() == ()


def test_a_network_that_does_not_fit_the_spec_is_not_published(store: Store):
    with pytest.raises(ProofError):
        store.publish("tiny", tiny_description(), None, card=a_card, network=exact_network("conv"))
    assert store.names() == ()


# --- the pixel table ---


def test_a_pixel_table_is_loaded_as_it_was_published(store: Store):
    manifest = publish_compressing(store.root, "tiny", "mlp")
    loaded = store.load(REF)
    assert loaded.pixels is not None
    assert loaded.pixels.sha256 == CountedPixels(table("mlp")).sha256
    assert store.verify(REF) == manifest
    assert "pixels.safetensors" in manifest.files


def test_a_version_without_a_pixel_table_has_none(store: Store):
    publish(store)
    assert store.load(REF).pixels is None


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-1], lambda _: b"", lambda content: content + b"x"]
)
def test_a_pixel_table_that_cannot_be_read_is_refused(
    store: Store, damage: Callable[[bytes], bytes]
):
    publish_compressing(store.root, "tiny", "mlp")
    rewrite(store, "pixels.safetensors", damage)
    with pytest.raises(CorruptVersionError, match=r"tiny@1: pixels\.safetensors: "):
        store.load(REF)


def test_a_changed_pixel_table_is_refused(store: Store):
    publish_compressing(store.root, "tiny", "mlp")
    path = store.root / "tiny" / "1" / "pixels.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(ChecksumError, match=r"tiny@1: pixels\.safetensors"):
        store.load(REF)


def test_only_an_exact_version_with_bernoulli_pixels_takes_a_pixel_table(store: Store):
    colour = tiny_description().model_copy(update={"spec": SPECS["colour"], "latents": None})
    with pytest.raises(PublishError, match="pixel table belongs to an exact version"):
        store.publish(
            "tiny",
            colour,
            None,
            card=a_card,
            network=exact_network("colour"),
            pixels=table("mlp"),
        )
    with pytest.raises(PublishError, match="pixel table belongs to an exact version"):
        store.publish("tiny", tiny_description(), tiny_weights(), card=a_card, pixels=table("mlp"))
    assert store.names() == ()


# --- refused ---


@pytest.mark.parametrize("filename", ["exact.safetensors", "golden.json"])
def test_an_exact_version_must_list_its_files(store: Store, filename: str):
    publish(store)
    path = store.root / "tiny" / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["files"][filename]
    path.write_text(json.dumps(manifest))
    with pytest.raises(ManifestError, match=f"lists no {filename}"):
        store.load(REF)


def test_an_arithmetic_of_the_future_is_refused(store: Store):
    publish(store)
    path = store.root / "tiny" / "1" / "manifest.json"
    path.write_text(path.read_text().replace('"exact-1"', '"exact-2"'))
    with pytest.raises(ManifestError, match="arithmetic"):
        store.load(REF)


def test_weights_whose_sums_could_round_are_refused_although_the_checksum_fits(store: Store):
    publish(store)
    too_large = change_weights(lambda layer: replace(layer, bias=layer.bias + np.int32(2**24)))
    rewrite(store, "exact.safetensors", too_large)
    with pytest.raises(ProofError, match=r"tiny@1: exact\.safetensors: encode\.\d+ .*2\^24"):
        store.load(REF)


def test_other_weights_that_are_exact_too_differ_from_the_golden_hashes(store: Store):
    publish(store)
    rewrite(store, "exact.safetensors", change_weights(lambda w: replace(w, bias=w.bias - 1000)))
    store.load(REF)
    with pytest.raises(
        GoldenHashError, match=r"tiny@1: results of executor numpy do not match .* encode"
    ):
        store.verify(REF, ["numpy"])


@pytest.mark.parametrize("executor", golden.EXECUTORS)
def test_a_changed_golden_hash_is_found_by_every_executor(
    store: Store, executor: golden.ExecutorName
):
    publish(store, "flow")
    store.verify(REF, [executor])
    rewrite(store, "golden.json", _change_hash_of_decode)
    with pytest.raises(GoldenHashError, match=f"executor {executor} .* for decode;"):
        store.verify(REF, [executor])


def _change_hash_of_decode(content: bytes) -> bytes:
    return json.dumps(json.loads(content) | {"decode": "0" * 64}).encode()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"decode": "no hash"}'])
def test_golden_hashes_that_cannot_be_read_are_refused(store: Store, content: bytes):
    publish(store)
    rewrite(store, "golden.json", lambda _: content)
    with pytest.raises(CorruptVersionError, match=r"tiny@1: golden\.json is not valid"):
        store.load(REF)


def test_an_unreadable_network_is_refused_by_its_name(store: Store):
    publish(store)
    rewrite(store, "exact.safetensors", lambda content: content[:-1])
    with pytest.raises(CorruptVersionError, match=r"tiny@1: exact\.safetensors"):
        store.load(REF)


# --- the command ---


def test_verify_says_which_executors_found_the_golden_hashes(
    store: Store, capsys: pytest.CaptureFixture[str]
):
    publish(store)
    assert main(["--store", str(store.root), "verify"]) == 0
    assert "exact-1 proved, golden hashes by onnx\n" in capsys.readouterr().out
    assert main(["--store", str(store.root), "verify", "--executor", "all"]) == 0
    assert "golden hashes by numpy, onnx, torch\n" in capsys.readouterr().out
    rewrite(store, "golden.json", _change_hash_of_decode)
    assert main(["--store", str(store.root), "verify", "--executor", "numpy"]) == 1
    assert "FAILED  tiny@1: results of executor numpy" in capsys.readouterr().out


def test_verify_refuses_an_executor_that_is_not_installed(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(golden, "installed", lambda: ("numpy",))
    assert main(["--store", str(store.root), "verify", "--executor", "torch"]) == 2
    assert "library of executor torch is missing" in capsys.readouterr().err


def test_list_and_show_name_the_arithmetic(store: Store, capsys: pytest.CaptureFixture[str]):
    publish(store)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    assert main(["--store", str(store.root), "list"]) == 0
    header, exact, plain = capsys.readouterr().out.splitlines()
    assert "ARITHMETIC" in header
    assert "exact-1" in exact
    assert "float" in plain
    assert main(["--store", str(store.root), "show", "tiny@1"]) == 0
    assert capsys.readouterr().out.endswith("Arithmetic: exact-1\n")
