"""Compression of real digits by the shipped models, if they and the data set are here."""

from functools import cache

import numpy as np
import pytest

from model_store.arithmetic.golden import executor_maker, fastest_installed
from model_store.arithmetic.model import ExactModel
from model_store.compression.codec import Codec, Identity
from model_store.spec import ModelRef
from model_store.store import SHIPPED, Store, StoredModel
from training.settings import TrainingSettings

NAMES = ("lab", "digits", "notebook", "mnist", "mnist-flow")
DIGITS = TrainingSettings().data_dir / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
COUNT = 200
PNG_BITS = 2.796
"""Bits for each pixel of the 10,000 test digits as PNG files, one for each digit."""

pytestmark = pytest.mark.skipif(not DIGITS.exists(), reason=f"no MNIST in {DIGITS.parent}")


@cache
def stored(name: str) -> StoredModel:
    model = Store(SHIPPED).load(ModelRef(name=name))
    if model.pixels is None:
        pytest.skip(f"{model.manifest.ref} has no pixel table")
    return model


def codec(name: str, executor: str) -> Codec:
    model = stored(name)
    assert model.network is not None
    assert model.pixels is not None
    exact = ExactModel(model.network, model.spec, executor_maker(executor))  # type: ignore[arg-type]
    manifest = model.manifest
    return Codec(exact, model.pixels, Identity(str(manifest.ref), manifest.weights_sha256))


def digits(count: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    pixels = np.frombuffer(DIGITS.read_bytes(), np.uint8, count * 784, offset=16)
    return pixels.reshape(count, 1, 28, 28)


@pytest.mark.parametrize("name", NAMES)
def test_real_digits_come_back_and_take_less_than_pngs(name: str):
    levels = digits(COUNT)
    fast = codec(name, fastest_installed())
    content = fast.compress(levels)
    assert np.array_equal(fast.decompress(content), levels)
    assert 8 * len(content) / levels.size < 0.75 * PNG_BITS


@pytest.mark.parametrize("name", NAMES)
def test_the_reference_reads_what_the_fastest_executor_wrote(name: str):
    levels = digits(16)
    content = codec(name, fastest_installed()).compress(levels)
    reference = codec(name, "numpy")
    assert reference.compress(levels) == content
    assert np.array_equal(reference.decompress(content), levels)
