import hashlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import Dense, ExactNetwork, LatentDense, Reshape
from model_store.compression import container
from model_store.compression.codec import Codec, Identity, steps
from model_store.compression.container import Header
from model_store.compression.pixels import CountedPixels
from model_store.errors import (
    CompressedFileError,
    DamagedFileError,
    ForeignFileError,
    OtherModelError,
    TooManyImagesError,
)
from model_store.spec import MLP, ImageShape, ModelSpec
from tests.unit.arithmetic.networks import SPECS, images
from tests.unit.arithmetic.test_executors import EXECUTORS
from tests.unit.compression.codecs import codec, exact_model, pixel_model


def natural(kind: str, rows: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return images similar to samples of the model; (rows, channels, height, width)."""
    exact = exact_model(kind)
    u = np.random.default_rng(4).standard_normal((rows, SPECS[kind].latent)).astype(np.float32)
    noise = np.random.default_rng(5).integers(-9, 10, (rows, *SPECS[kind].image.shape))
    return np.asarray(np.clip(exact.decode(u) + noise, 0, 255), np.uint8)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("count", [1, 2, 3, 17, 100])
def test_images_come_back_byte_for_byte(kind: str, count: int):
    for levels in (natural(kind, count), images(kind, count, seed=9)):
        content = codec(kind).compress(levels)
        again = codec(kind).decompress(content)
        assert again.dtype == np.uint8
        assert np.array_equal(again, levels)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(SPECS)), count=st.integers(1, 12))
def test_any_images_come_back(data: st.DataObject, kind: str, count: int):
    shape = (count, *SPECS[kind].image.shape)
    levels = data.draw(arrays.arrays(np.uint8, shape))
    assert np.array_equal(codec(kind).decompress(codec(kind).compress(levels)), levels)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_writes_the_same_file_and_reads_it(name: str, kind: str):
    levels = np.concatenate([natural(kind, 30), images(kind, 5)])
    content = codec(kind).compress(levels)
    other = codec(kind, EXECUTORS[name])
    assert other.compress(levels) == content
    assert np.array_equal(other.decompress(content), levels)


@pytest.mark.parametrize("kind", ["residual", "colour"])
def test_an_image_costs_its_negative_elbo(kind: str):
    """Uses the distributions of the codec, and draws z with numpy's generator."""
    levels = natural(kind, 400)
    exact, pixel = exact_model(kind), pixel_model(kind)
    mu, logvar = exact.posterior(levels)
    eps = np.random.default_rng(0).standard_normal(mu.shape).astype(np.float32)
    z = (mu + np.exp(logvar / 2) * eps).astype(np.float32)
    rows = pixel.rows(exact.logits(z))
    places = pixel.distributions.first[rows] + levels.reshape(len(levels), -1)
    log_px = np.log(pixel.distributions.intervals(places)[1] / 2.0**24).sum(axis=1)
    kl = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar).sum(axis=1)
    bits = (kl - log_px).sum() / np.log(2)
    overhead = container.read_header(codec(kind).compress(levels[:1])).to_bytes()
    length = 8 * (len(codec(kind).compress(levels)) - len(overhead))
    assert length == pytest.approx(bits, rel=0.01)


def test_the_bits_that_start_the_chain_are_paid_once():
    """The file of one image also holds the header and the digest, so each further image costs less."""
    levels = natural("residual", 10)
    sizes = [len(codec("residual").compress(levels[:n])) for n in (1, 10)]
    assert sizes[1] < 10 * (sizes[0] - 60)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 15, 16, 100, 2047, 2048, 10_001])
def test_steps_cover_all_images_and_open_every_lane(count: int):
    header = Header("exact-1", "mlp@1", bytes(8), count, (1, 6, 6))
    plan = list(steps(header))
    assert [step.begin for step in plan[1:]] == [step.end for step in plan[:-1]]
    assert (plan[0].begin, plan[0].lanes_before, plan[-1].end) == (0, 1, count)
    assert plan[-1].lanes == header.lanes == max(step.end - step.begin for step in plan)


def integer_codec() -> Codec:
    """Return a codec with integer weights written in this test, not made by quantisation."""
    numbers = np.arange(16)
    exponent = np.full(4, 8, np.int32)
    dense = Dense((numbers.reshape(4, 4) - 7).astype("i2"), np.zeros(4, "i4"), exponent + 3)
    latent = LatentDense(
        ((numbers[:8].reshape(4, 2) - 3) * 50).astype("i4"), np.arange(4) * 9, exponent + 10
    )
    network = ExactNetwork((Reshape((4,)), dense), (latent, Reshape((1, 2, 2))))
    spec = ModelSpec(network=MLP(), latent=2, image=ImageShape(height=2, width=2))
    distance = np.abs(np.arange(129)[:, None] * 2 - np.arange(256))
    pixels = CountedPixels(np.maximum(0, 150 - distance).astype(np.uint8))
    model = ExactModel(network, spec, lambda function, _: NumpyExecutor(function))
    return Codec(model, pixels, Identity("integers@1", "00" * 32))


def test_the_format_is_the_one_that_files_were_written_in():
    """If this fails, existing files can no longer be read, so FORMAT_VERSION must be raised."""
    levels = (np.arange(120 * 4) * 37 % 256).astype(np.uint8).reshape(120, 1, 2, 2)
    content = integer_codec().compress(levels)
    assert (
        hashlib.sha256(content).hexdigest()
        == "288a1213653a5203d57cab58f84e8a9183501f11c63136a6662ab30fbfdbfc40"
    )
    assert np.array_equal(integer_codec().decompress(content), levels)


# --- files that are refused -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def content() -> bytes:
    return codec("mlp").compress(natural("mlp", 3))


def repaired(content: bytes) -> bytes:
    """Return the file with its checksum computed anew."""
    return content[:-4] + struct.pack("<I", zlib.crc32(content[:-4]))


def flipped(content: bytes, place: int, bits: int) -> bytes:
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


def test_every_flipped_byte_is_noticed(content: bytes):
    for place in range(len(content)):
        for bits in (1, 0x80, 0xFF):
            with pytest.raises(CompressedFileError):
                codec("mlp").decompress(flipped(content, place, bits))


def test_every_flipped_byte_is_noticed_even_if_the_checksum_was_repaired(content: bytes):
    mlp = codec("mlp")
    for place in range(len(content) - 4):
        with pytest.raises(CompressedFileError):
            mlp.decompress(repaired(flipped(content, place, 1 << place % 8)), 1000)


def test_a_file_that_ends_early_is_damaged(content: bytes):
    for length in range(len(content)):
        with pytest.raises(DamagedFileError if length >= 6 else ForeignFileError):
            codec("mlp").decompress(content[:length])
        if length > 60:
            with pytest.raises(DamagedFileError):
                codec("mlp").decompress(repaired(content[:length]))


def test_words_that_are_added_are_noticed(content: bytes):
    begin = len(container.read_header(content).to_bytes()) + 8
    longer = content[:begin] + bytes(4) + content[begin:]
    with pytest.raises(DamagedFileError, match="digest"):
        codec("mlp").decompress(repaired(longer))


@pytest.mark.parametrize("other", [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), b"text", bytes(100)])
def test_another_file_is_refused(other: bytes):
    with pytest.raises(ForeignFileError, match="not a file of images"):
        codec("mlp").decompress(other)


def test_a_format_version_that_is_not_known_is_refused(content: bytes):
    with pytest.raises(ForeignFileError, match="format version 9"):
        codec("mlp").decompress(repaired(content[:6] + b"\x09" + content[7:]))


def test_the_file_of_another_model_is_refused_by_name(content: bytes):
    with pytest.raises(OtherModelError, match=r"mlp@1 .* this is residual@1"):
        codec("residual").decompress(content)


def test_the_file_of_another_network_of_that_name_is_refused(content: bytes):
    other = Codec(exact_model("mlp"), pixel_model("mlp"), Identity("mlp@1", "ab" * 32))
    with pytest.raises(OtherModelError):
        other.decompress(content)


def test_a_file_of_too_many_images_is_refused_before_anything_is_computed(content: bytes):
    with pytest.raises(TooManyImagesError, match="3 images; at most 2"):
        codec("mlp").decompress(content, most_images=2)
    place = len(container.read_header(content).to_bytes()) - 9
    many = repaired(content[:place] + b"\xff" * 4 + content[place + 4 :] + b"\xff" * 2048)
    with pytest.raises(TooManyImagesError):
        codec("mlp").decompress(many)


def test_a_state_out_of_range_is_damage(content: bytes):
    begin = len(container.read_header(content).to_bytes())
    with pytest.raises(DamagedFileError, match="state"):
        codec("mlp").decompress(repaired(content[:begin] + bytes(8) + content[begin + 8 :]))


def test_the_header_names_the_model_and_counts_the_images(content: bytes):
    header = container.read_header(content)
    assert (header.model, header.arithmetic) == ("mlp@1", "exact-1")
    assert (header.images, header.shape) == (3, (1, 6, 6))


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="not uint8"):
        codec("mlp").compress(np.zeros((2, 1, 5, 6), np.uint8))
    with pytest.raises(ValueError, match="0 images"):
        codec("mlp").compress(np.zeros((0, 1, 6, 6), np.uint8))
