"""Snapshots of a training as a file of a version: optional, checksummed, bounded, and checked."""

import base64
import io
import json
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from model_store.errors import (
    ChecksumError,
    CorruptVersionError,
    PublishError,
    SnapshotsNotFoundError,
)
from model_store.snapshots import MAX_BYTES, Snapshots, from_bytes, make, to_bytes
from model_store.spec import ModelRef
from model_store.store import Store
from tests.hostile.png_files import SIGNATURE, chunk
from tests.unit.models import TINY, a_card, replace_file, tiny_description, tiny_weights
from tests.unit.training_snapshots import snapshots

REF = ModelRef.parse("tiny@1")
FILE = "snapshots.json"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card, snapshots=snapshots())
    return store


def rewrite(store: Store, content: bytes) -> None:
    replace_file(store.root / "tiny" / "1", FILE, content)


def changed(**fields: object) -> bytes:
    """Return the file of the snapshots with some of its fields changed."""
    return json.dumps(json.loads(to_bytes(snapshots())) | fields).encode()


def png(size: tuple[int, int], mode: str = "L") -> str:
    with io.BytesIO() as file:
        Image.new(mode, size).save(file, "png")
        return base64.b64encode(file.getvalue()).decode()


def header(width: int, height: int, more: bytes = b"") -> str:
    """Return a PNG that ends where its pixels should begin."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return base64.b64encode(
        SIGNATURE + chunk(b"IHDR", size + bytes([8, 0, 0, 0, 0])) + more
    ).decode()


def test_what_was_put_in_is_read_again():
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (2, 3, 3, 5, 4), dtype=np.uint8)
    mu = rng.standard_normal((2, 7, 3)) * 20
    kept = from_bytes(
        to_bytes(
            make(
                epochs=np.array([0.0, 1.0]),
                reconstruction_nats=np.array([9.0, 8.0]),
                kl_nats=np.array([1.0, 2.0]),
                dimension_kl_nats=np.array([[0.0, 0.0, 0.0], [0.5, 0.1, 2.0]]),
                samples=2,
                tiles=tiles,
                reconstruction_labels=None,
                mu=mu,
                labels=None,
            )
        )
    )
    assert (kept.tiles() == tiles).all()
    assert kept.dimensions == (2, 0, 1)
    assert kept.dimension_kl_nats[1] == (2.0, 0.5, 0.1)
    np.testing.assert_allclose(kept.points_in_plane(), mu[:, :, [2, 0]], atol=kept.position_step)
    assert kept.position_step < 0.01
    assert (kept.samples, kept.reconstructions, kept.test_images) == (2, 1, 7)


def test_one_latent_dimension_gives_positions_on_a_line():
    assert snapshots(latent=1).points_in_plane().shape == (4, 6, 1)


def test_a_version_gives_its_snapshots(store: Store):
    assert from_bytes(store.file(REF, FILE)) == snapshots()
    assert store.verify(REF).files[FILE].size_bytes == len(store.file(REF, FILE))


def test_a_version_without_snapshots_says_so(tmp_path: Path):
    store = Store(tmp_path)
    store.publish("tiny", tiny_description(), tiny_weights(), card=a_card)
    store.load(REF)
    with pytest.raises(SnapshotsNotFoundError, match="tiny@1 is published without snapshots"):
        store.file(REF, FILE)


def test_a_changed_byte_is_noticed(store: Store):
    path = store.root / "tiny" / "1" / FILE
    path.write_bytes(path.read_bytes().replace(b"16", b"17"))
    for read in (store.load, partial(store.file, filename=FILE)):
        with pytest.raises(ChecksumError, match=r"snapshots\.json"):
            read(REF)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "Field required"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b" " * MAX_BYTES + b"{}", "at most 1048576 are read"),
        (changed(epochs=[0, 1, 1, 2]), "not ascending"),
        (changed(epochs=[-1, 0, 1, 2]), "not ascending"),
        (changed(epochs=[0, 1]), "differ in length"),
        (changed(kl_nats=[0, 1, 2]), "differ in length"),
        (changed(kl_nats=[0, 1, 2, "NaN"]), "finite number"),
        (changed(dimensions=[1, 1, 0]), "occurs twice"),
        (changed(dimensions=[1, 3, 0]), "3 latent dimensions of the spec"),
        (changed(samples=3_000_000_000), "less than or equal to 32"),
        (changed(samples=32), "more than 32 images"),
        (changed(test_images=1_000_000_000), "less than or equal to 1000"),
        (changed(test_images=7), "positions have 96 bytes"),
        (changed(image={"channels": 1, "height": 256, "width": 256}), "more than 1536 values"),
        (changed(image={"channels": 1, "height": 4, "width": 5}), "is expected"),
        (changed(images=png((9_000, 9_000))), "is expected"),
        (changed(images=png((96, 16), "RGB")), "is expected"),
        (changed(images=png((96, 16))[:60]), "no intact PNG"),
        (changed(images="GIF8"), "no intact PNG"),
        (changed(images=header(100_000, 100_000)), "no intact PNG"),
        (changed(images=header(2**31 - 1, 2**31 - 1)), "no intact PNG"),
        (changed(images=header(0, 1)), "no intact PNG"),
        (
            changed(
                images=header(96, 16, chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(9_000_000))))
            ),
            "PNG",
        ),
        (changed(images=header(96, 16, chunk(b"iCCP", b""))), "no intact PNG"),
        (changed(images="Ä"), "not base64"),
        (changed(position_step=1e300), "less than or equal to 1000000000000"),
        (changed(kl_nats=[0, 1, 2, -1e300]), "greater than or equal to -1000000000000"),
        (changed(epochs=[0, 1, 2, 10**400]), "finite number"),
        (changed(dimensions=[0, 1, 10**400]), "3 latent dimensions of the spec"),
        (changed(positions="?"), "not base64"),
        (changed(labels=[0, 1]), "2 labels for 6 images"),
        (changed(labels=[0] * 6), "none of the 0 classes"),
        (changed(more=1), "Extra inputs"),
    ],
)
def test_a_file_that_does_not_fit_refuses_the_version_by_its_name(
    store: Store, content: bytes, words: str
):
    rewrite(store, content)
    for read in (store.load, partial(store.file, filename=FILE)):
        with pytest.raises(
            CorruptVersionError, match=r"tiny@1: snapshots\.json.*; republish it"
        ) as e:
            read(REF)
        assert words in str(e.value)


def test_snapshots_of_another_model_are_not_published(tmp_path: Path):
    for wrong in (snapshots(latent=4), snapshots(shape=(3, 4, 4)), snapshots(labels=(0, 1))):
        with pytest.raises(PublishError, match="cannot publish tiny: snapshots: "):
            Store(tmp_path).publish(
                "tiny", tiny_description(TINY), tiny_weights(), card=a_card, snapshots=wrong
            )
    assert Store(tmp_path).names() == ()


def test_snapshots_that_could_not_be_read_again_are_not_made():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 1, 39, 39), dtype=np.uint8)
    lines = np.zeros(32)
    with pytest.raises((ValidationError, ValueError)):
        to_bytes(
            make(
                epochs=np.arange(32.0),
                reconstruction_nats=lines,
                kl_nats=lines,
                dimension_kl_nats=np.zeros((32, 2)),
                samples=16,
                tiles=noise,
                reconstruction_labels=None,
                mu=np.zeros((32, 5, 2)),
                labels=None,
            )
        )


def test_the_type_is_frozen():
    with pytest.raises(ValidationError):
        snapshots().samples = 3  # type: ignore[misc]
    assert Snapshots.model_validate_json(to_bytes(snapshots())) == snapshots()
