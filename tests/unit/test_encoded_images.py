"""Latents of test images as a file of a version: checksummed, optional, bounded."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model_store.encoded_images import (
    MAX_BYTES,
    MAX_IMAGES,
    EncodedImages,
    affordable_images,
    round_latents,
    to_arrays,
)
from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    EncodedImagesNotFoundError,
    NonFiniteError,
    PublishError,
    ShapeError,
)
from model_store.spec import ModelRef
from model_store.store import Store
from tests.unit.models import a_card, replace_file, tiny_classes, tiny_description, tiny_weights
from tests.unit.typicality_tables import table

REF = ModelRef.parse("tiny@1")
FILE = "encoded_images.safetensors"


def encoded(images: int = 5, latent: int = 3, labels: bool = False) -> EncodedImages:
    """Return latents of the first images, those of the first at -3 and those of the last at 3."""
    u = np.linspace(-3, 3, images, dtype=np.float32)[:, None] * np.ones(latent, np.float32)
    places = np.arange(images, dtype=np.int32)
    return round_latents(u, places, (places % 2).astype(np.int16) if labels else None)


def content(**changes: np.ndarray) -> bytes:
    return safetensors.numpy.save({**to_arrays(encoded()), **changes})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card, encoded_images=encoded())
    return store


def rewrite(store: Store, changed: bytes) -> None:
    replace_file(store.root / "tiny" / "1", FILE, changed)


def test_a_version_is_loaded_with_its_latents(store: Store):
    loaded = store.load(REF).encoded_images
    assert loaded is not None
    assert np.array_equal(loaded.levels, encoded().levels)
    assert np.array_equal(loaded.u, encoded().u)
    assert loaded.labels is None
    assert store.file(REF, FILE) == (store.root / "tiny" / "1" / FILE).read_bytes()
    store.verify(REF)


def test_a_version_that_was_published_without_latents_has_none(tmp_path: Path):
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    assert store.load(REF).encoded_images is None
    with pytest.raises(EncodedImagesNotFoundError, match="tiny@1 was published without latents"):
        store.file(REF, FILE)


def test_a_changed_byte_of_the_latents_is_noticed(store: Store):
    path = store.root / "tiny" / "1" / FILE
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    for read in (store.load, partial(store.file, filename=FILE)):
        with pytest.raises(ChecksumError, match=r"encoded_images\.safetensors"):
            read(REF)


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (b"", "."),
        (b"\xff" * 9, "."),
        (b" " * (MAX_BYTES + 1), "at most 150000 are read"),
        (safetensors.numpy.save({}), "expected levels, scale and indices, found nothing"),
        (content(levels=np.zeros((5, 3), np.float32)), "levels are .5, 3. float32"),
        (content(levels=np.zeros((0, 3), np.int8)), "levels are .0, 3."),
        (content(levels=np.zeros(3, np.int8)), "levels are .3,."),
        (content(levels=np.zeros((MAX_IMAGES + 1, 3), np.int8)), "expected 1 to 2,000"),
        (content(scale=np.array([1, np.nan, 1], np.float32)), "a scale is not a positive"),
        (content(scale=np.array([1, 0, 1], np.float32)), "a scale is not a positive"),
        (content(scale=np.array([1, 3e38, 1], np.float32)), "a scale is above"),
        (content(levels=np.full((5, 3), -128, np.int8)), "a level is below -127"),
        (content(scale=np.ones(2, np.float32)), "scale are .2,. float32"),
        (content(indices=np.array([0, 1, 1, 2, 3], np.int32)), "not ascending"),
        (content(indices=np.arange(-1, 4, dtype=np.int32)), "not ascending"),
        (content(labels=np.zeros(4, np.int16)), "labels are .4,. int16"),
        (content(labels=np.full(5, -1, np.int16)), "below 0"),
        (content(more=np.zeros(1, np.int8)), "found indices, levels, more, scale"),
    ],
)
def test_a_file_of_something_else_refuses_the_version_by_its_name(
    store: Store, changed: bytes, problem: str
):
    rewrite(store, changed)
    for read in (store.load, partial(store.file, filename=FILE)):
        with pytest.raises(
            CorruptVersionError, match=rf"tiny@1: encoded_images\.safetensors: .*{problem}"
        ):
            read(REF)


def test_latents_of_another_size_or_with_labels_of_no_class_are_not_published(tmp_path: Path):
    store = Store(tmp_path)
    for wrong, problem in [
        (encoded(latent=4), "has 4 latent dimensions, the spec asks for 3"),
        (encoded(labels=True), "has the label 1, the manifest names 0 classes"),
    ]:
        with pytest.raises(ShapeError, match=problem):
            store.publish(
                "tiny", tiny_description(), tiny_weights(), card=a_card, encoded_images=wrong
            )
    assert store.names() == ()


@given(arrays(np.float32, (4, 3), elements=st.floats(-8, 8, width=32)))
def test_a_rounded_latent_is_off_by_at_most_half_a_level(u: np.ndarray):
    rounded = round_latents(u, np.arange(4, dtype=np.int32), None)
    off = np.abs(rounded.u.astype(np.float64) - u)
    assert (off <= np.abs(u).max(axis=0) * (0.5 / 127 + 1e-6) + 1e-30).all()


def test_latents_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        round_latents(np.array([[np.nan]], np.float32), np.zeros(1, np.int32), None)


@pytest.mark.parametrize("latent", [1, 2, 32, 68, 69, 128, 16_384])
def test_as_many_images_are_kept_as_the_file_may_have(latent: int):
    images = affordable_images(latent)
    size = len(safetensors.numpy.save(to_arrays(encoded(images, latent, labels=True))))
    assert size <= MAX_BYTES
    assert images == MAX_IMAGES or size > MAX_BYTES - 2000 - latent
    if latent == 32:
        assert images == MAX_IMAGES


# --- supplementing -----------------------------------------------------------------------------


def test_a_version_is_supplemented_by_a_new_one_with_the_same_files(tmp_path: Path):
    store = Store(tmp_path)
    described = tiny_description().model_copy(update={"classes": ("a", "b")})
    one = store.publish(
        "tiny", described, tiny_weights(), card=a_card, figures={"samples": b"png"},
        class_latents=tiny_classes(),
    )  # fmt: skip
    two = store.supplement(
        REF, described, card=a_card, typicality=table(), encoded_images=encoded(labels=True)
    )
    assert (two.name, two.version) == ("tiny", 2)
    assert two.files.keys() - one.files.keys() == {"typicality.json", FILE}
    for file in one.files.keys() - {"card.md"}:
        assert two.files[file] == one.files[file]
    assert store.card(two.ref) == "# tiny@2\n"
    assert store.verify(two.ref).metrics == one.metrics
    assert FILE not in store.manifest(REF).files


def test_a_part_that_a_version_has_is_not_replaced(store: Store):
    with pytest.raises(PublishError, match=r"cannot supplement tiny@1: it has encoded_images"):
        store.supplement(REF, tiny_description(), card=a_card, encoded_images=encoded(images=4))
    assert store.versions("tiny") == (1,)


def test_a_damaged_version_is_not_supplemented(store: Store):
    (store.root / "tiny" / "1" / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(ChecksumError, match=r"weights\.safetensors"):
        store.supplement(REF, tiny_description(), card=a_card, typicality=table())
    assert store.versions("tiny") == (1,)
