"""A store keeps its promises, in a folder and in an object store.

Whole versions or none, numbers that nobody shares, aliases of which none is lost.
"""

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from model_store.errors import (
    AliasNotFoundError,
    ChecksumError,
    FigureNotFoundError,
    InvalidReferenceError,
    ManifestError,
    ModelNotFoundError,
    NonFiniteError,
    ShapeError,
    VersionNotFoundError,
)
from model_store.spec import ModelRef
from model_store.store import Store
from model_store.store.backend import MAX_ALIASES_BYTES
from model_store.vae import VAE
from tests.unit.backends import KINDS, Place, in_place, new_place
from tests.unit.models import TINY, a_card, publish_tiny, tiny_description, tiny_weights


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return new_place(request.param, tmp_path)


@pytest.fixture
def store(place: Place) -> Store:
    return in_place(place)


# --- publish, then read back ---


def test_a_published_version_is_loaded_bit_for_bit(store: Store):
    publish_tiny(store, seed=5)
    loaded = store.load(ModelRef.parse("tiny@1")).weights
    expected = tiny_weights(5)
    assert loaded.keys() == expected.keys()
    assert all(np.array_equal(loaded[name], tensor) for name, tensor in expected.items())


def test_arrays_and_tensors_are_published_as_the_same_file(store: Store, place: Place):
    tensors = tiny_weights()
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    files = [
        store.publish("tiny", tiny_description(), weights, card=a_card).weights_sha256
        for weights in (tensors, arrays)
    ]
    assert files[0] == files[1]
    content = place.read("tiny/1/weights.safetensors")
    assert content == safetensors.torch.save(tensors)


def test_weights_stored_in_16_bits_are_loaded_in_32(store: Store):
    half = {name: tensor.half() for name, tensor in tiny_weights().items()}
    manifest = store.publish("tiny", tiny_description(), half, card=a_card)
    assert manifest.files["weights.safetensors"].size_bytes == len(safetensors.torch.save(half))
    loaded = store.load(manifest.ref).weights
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float32)}
    assert all(np.array_equal(loaded[name], tensor.float()) for name, tensor in half.items())


def test_bfloat16_is_published_without_loss(store: Store):
    weights = {name: tensor.bfloat16() for name, tensor in tiny_weights().items()}
    manifest = store.publish("tiny", tiny_description(), weights, card=a_card)
    loaded = store.load(manifest.ref).weights
    assert all(np.array_equal(loaded[name], tensor.float()) for name, tensor in weights.items())


def test_a_tensor_that_learns_is_published_as_its_value(store: Store):
    vae = VAE(TINY)
    manifest = store.publish("tiny", tiny_description(), dict(vae.named_parameters()), card=a_card)
    loaded = store.load(manifest.ref).weights
    assert np.array_equal(loaded["to_mu.bias"], vae.to_mu.bias.detach())


def test_a_version_carries_manifest_card_and_figures(store: Store):
    publish_tiny(store)
    ref = ModelRef.parse("tiny@1")
    assert store.manifest(ref).metrics["test_neg_elbo"].value == 12.5
    assert store.manifest(ref).figures == ("loss", "samples")
    assert store.card(ref) == "# tiny@1\n"
    assert store.figure(ref, "samples") == b"a picture"


def test_the_manifest_that_publishing_returns_is_the_one_on_disk(store: Store):
    assert publish_tiny(store) == store.manifest(ModelRef.parse("tiny@1"))


def test_the_manifest_sorts_latent_dimensions_by_information(store: Store):
    assert publish_tiny(store).informative_dimensions() == (1, 2, 0)


def test_versions_count_upwards_and_are_compared_as_integers(store: Store, place: Place):
    publish_tiny(store)
    for path in place.paths():
        place.write(path.replace("/1/", "/9/"), place.read(path))
    assert publish_tiny(store).version == 10
    assert store.versions("tiny") == (1, 9, 10)


def test_names_lists_what_has_a_version(store: Store, place: Place):
    assert store.names() == ()
    publish_tiny(store, "b")
    publish_tiny(store, "a")
    place.write("empty/aliases.json", b"{}")
    place.write("NOT A NAME/1/manifest.json", b"{}")
    assert store.names() == ("a", "b")


# --- aliases ---


def test_production_is_the_oldest_version_until_another_is_promoted(store: Store):
    publish_tiny(store)
    publish_tiny(store)
    assert store.resolve(ModelRef.parse("tiny")).version == 1
    store.set_alias("tiny", "production", 2)
    assert store.resolve(ModelRef.parse("tiny")).version == 2
    assert store.resolve(ModelRef.parse("tiny@production")).version == 2


def test_rolling_back_is_promoting_the_older_version(store: Store):
    publish_tiny(store)
    publish_tiny(store)
    store.set_alias("tiny", "production", 2)
    store.set_alias("tiny", "production", 1)
    assert store.aliases("tiny") == {"production": 1}


def test_aliases_live_side_by_side(store: Store):
    publish_tiny(store)
    publish_tiny(store)
    store.set_alias("tiny", "canary", 2)
    assert store.aliases("tiny") == {"production": 1, "canary": 2}


def test_an_alias_cannot_point_at_nothing(store: Store):
    publish_tiny(store)
    with pytest.raises(VersionNotFoundError, match="tiny has no version 7; it has 1"):
        store.set_alias("tiny", "production", 7)


@pytest.mark.parametrize("alias", ["", "3", "Prod", "a/b", "x" * 64])
def test_an_alias_that_could_be_taken_for_something_else_is_refused(store: Store, alias: str):
    publish_tiny(store)
    with pytest.raises(InvalidReferenceError, match="is not an alias"):
        store.set_alias("tiny", alias, 1)


def test_aliases_that_were_set_at_the_same_time_are_all_kept(store: Store, place: Place):
    publish_tiny(store)
    run_together(
        *(lambda i=i: in_place(place).set_alias("tiny", f"alias-{i}", 1) for i in range(8))
    )
    assert set(store.aliases("tiny")) == {"production", *(f"alias-{i}" for i in range(8))}


def test_unreadable_aliases_are_an_error_and_not_an_empty_list(store: Store, place: Place):
    publish_tiny(store)
    place.write("tiny/aliases.json", b'{"production": ')
    with pytest.raises(ManifestError, match=r"aliases\.json"):
        store.resolve(ModelRef.parse("tiny"))


def test_aliases_of_any_size_are_not_read(store: Store, place: Place):
    publish_tiny(store)
    place.write("tiny/aliases.json", b" " * (MAX_ALIASES_BYTES + 1) + b"{}")
    with pytest.raises(ManifestError, match=r"aliases\.json is unreadable: .*262,144 bytes"):
        store.resolve(ModelRef.parse("tiny"))


# --- what is not there ---


def test_an_unknown_model_is_named_with_those_that_exist(store: Store):
    publish_tiny(store, "lab")
    with pytest.raises(ModelNotFoundError, match="no model 'mnist' in the store; it holds: lab"):
        store.load(ModelRef.parse("mnist"))


def test_of_many_models_and_versions_a_message_names_the_first_twenty(store: Store, place: Place):
    for i in range(30):
        place.write(f"m{i}/1/manifest.json", b"{}")
        place.write(f"m0/{i + 1}/manifest.json", b"{}")
    with pytest.raises(ModelNotFoundError, match=r"it holds: m0, m1, m10, .* and 10 more$"):
        store.load(ModelRef.parse("mnist"))
    with pytest.raises(VersionNotFoundError, match=r"it has 1, 2, 3, .*, 20 and 10 more$"):
        store.load(ModelRef.parse("m0@99"))


def test_an_unknown_version_alias_or_figure_is_named_with_those_that_exist(store: Store):
    publish_tiny(store)
    with pytest.raises(VersionNotFoundError, match="no version 2; it has 1"):
        store.load(ModelRef.parse("tiny@2"))
    with pytest.raises(AliasNotFoundError, match="no alias 'canary'; it has production"):
        store.load(ModelRef.parse("tiny@canary"))
    with pytest.raises(FigureNotFoundError, match="no figure 'x'; it has loss, samples"):
        store.figure(ModelRef.parse("tiny"), "x")


# --- what is refused ---


@pytest.mark.parametrize("name", ["", "Tiny", "../tiny", "a b", ".tiny"])
def test_a_name_that_is_no_name_is_refused(store: Store, place: Place, name: str):
    with pytest.raises(InvalidReferenceError, match="is not a model name"):
        publish_tiny(store, name)
    assert place.paths() == []


def test_weights_that_do_not_fit_the_spec_are_not_published(store: Store):
    weights = tiny_weights()
    weights["to_mu.weight"] = torch.zeros(3, 6)
    with pytest.raises(
        ShapeError,
        match=r"tensor to_mu\.weight is \(3, 6\) float32, the spec asks for \(3, 5\) float32",
    ):
        store.publish("tiny", tiny_description(), weights, card=a_card)
    assert store.names() == ()


def test_weights_with_a_nan_are_not_published(store: Store):
    weights = tiny_weights()
    weights["to_mu.bias"][1] = torch.nan
    with pytest.raises(NonFiniteError, match=r"to_mu\.bias holds 1 values that are NaN"):
        store.publish("tiny", tiny_description(), weights, card=a_card)
    assert store.names() == ()


# --- publishers at the same time ---


def run_together(*calls: Callable[[], object]) -> None:
    """Run calls in threads, all at the same time; raise the first error."""
    errors: list[BaseException] = []
    begin = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        begin.wait()
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_parallel_publishers_get_different_versions_and_lose_none(store: Store, place: Place):
    """All publish the same files in the same second."""
    run_together(*(lambda: publish_tiny(in_place(place)) for _ in range(6)))
    assert store.versions("tiny") == tuple(range(1, 7))
    for version in store.versions("tiny"):
        store.verify(ModelRef(name="tiny", version=version))


# --- files that people edit ---


def test_aliases_that_an_editor_saved_with_a_byte_order_mark_are_read(store: Store, place: Place):
    publish_tiny(store)
    publish_tiny(store)
    place.write("tiny/aliases.json", b'\xef\xbb\xbf{"production": 2}')
    assert store.resolve(ModelRef.parse("tiny")).version == 2
    store.set_alias("tiny", "canary", 1)
    assert place.read("tiny/aliases.json").startswith(b"{")
    assert store.aliases("tiny") == {"production": 2, "canary": 1}


def test_a_manifest_that_an_editor_saved_with_a_byte_order_mark_is_read_unless_it_is_sealed(
    store: Store, place: Place
):
    manifest = publish_tiny(store)
    content = place.read("tiny/1/manifest.json")
    place.write("tiny/1/manifest.json", b"\xef\xbb\xbf" + content)
    with pytest.raises(ChecksumError, match="one of them was changed"):
        store.manifest(manifest.ref)
    place.delete("tiny/1/SHA256SUMS")
    assert store.manifest(manifest.ref) == manifest
