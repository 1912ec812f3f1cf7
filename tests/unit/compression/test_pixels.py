from decimal import Decimal

import numpy as np
import pytest
import safetensors.numpy

from model_store.arithmetic import likelihood
from model_store.compression import pixels
from model_store.compression.ans import TOTAL
from model_store.compression.pixels import BINS, CountedPixels, LogisticPixels
from model_store.errors import CorruptVersionError
from tests.unit.arithmetic.networks import images
from tests.unit.compression.codecs import exact_model, table
from training.quantisation.pixel_table import count_pixels

LOGITS = np.array([-5000, -1000, -31, 0, 31, 33, 700, 4096], np.float32).reshape(-1, 1, 1, 1)


def test_weights_of_an_octave_double_the_frequency():
    log_weights = np.zeros((BINS, 256), np.uint8)
    log_weights[:, :3] = [160, 152, 148]
    frequency = pixels.frequencies(log_weights)
    assert (frequency.sum(axis=1) == TOTAL).all()
    assert frequency.min() >= 1
    assert frequency[0, 0] / frequency[0, 1] == pytest.approx(2, rel=1e-4)
    assert frequency[0, 1] / frequency[0, 2] == pytest.approx(2**0.5, rel=2e-3)


def test_logits_are_binned_by_quarters_from_one_end_to_the_other():
    counted = CountedPixels(np.zeros((BINS, 256), np.uint8))
    assert counted.rows(LOGITS).ravel().tolist() == [0, 48, 64, 64, 64, 65, 75, 128]


def test_a_counted_table_finds_the_distribution_that_images_come_from():
    """The levels are drawn given the model's logits, so their true distribution is known."""
    exact = exact_model("mlp")
    grey = images("mlp", 2000)
    mu, _ = exact.posterior(grey)
    bins = pixels.logit_bins(exact.logits(mu))
    drawn = np.where(np.random.default_rng(0).random(bins.shape) < 0.75, bins, 255)
    counted = CountedPixels(count_pixels(exact, drawn.astype(np.uint8).reshape(grey.shape)))
    share = counted.distributions.intervals(np.arange(BINS * 256))[1].reshape(BINS, 256) / TOTAL
    common = np.bincount(bins.ravel()).argmax()
    assert share[common, 255] == pytest.approx(0.25, abs=0.04)
    assert share[common, common - 8 : common + 9].sum() > 0.6


def test_a_counted_table_survives_its_file():
    content = pixels.to_bytes(table("mlp"))
    again = pixels.from_bytes(content)
    assert again.sha256 == CountedPixels(table("mlp")).sha256
    assert pixels.to_bytes(table("mlp")) == content


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"other": np.zeros((BINS, 256), np.uint8)}, "other"),
        ({"log_weights": np.zeros((BINS, 255), np.uint8)}, "255"),
        ({"log_weights": np.zeros((BINS, 256), np.int8)}, "int8"),
        ({"log_weights": np.full((BINS, 256), 193, np.uint8)}, "above 192"),
    ],
)
def test_another_table_is_refused(tensors: dict[str, np.ndarray], message: str):
    with pytest.raises(CorruptVersionError, match=message):
        pixels.from_bytes(safetensors.numpy.save(tensors))


def test_a_table_that_is_no_safetensors_file_is_refused():
    with pytest.raises(CorruptVersionError, match="unreadable"):
        pixels.from_bytes(b"no table")


def test_logistic_frequencies_are_the_likelihood():
    log_scale = np.array([-2.5, -4.0, -1.0], np.float32)
    logistic = LogisticPixels(log_scale)
    logits = np.repeat(LOGITS, 3, axis=1)
    rows = logistic.rows(logits)
    first = logistic.distributions.first[rows]
    exact = likelihood.DiscretisedLogistic(log_scale)
    for level in (0, 1, 100, 254, 255):
        share = logistic.distributions.intervals(first + level)[1] / TOTAL
        levels = np.full(logits.shape, level, np.uint8)
        nats = exact(levels, logits)
        common = (share > 1e-4).all(axis=1)  # frequencies of rare levels exceed their likelihood
        assert common.sum() >= 2
        np.testing.assert_allclose(np.log(share).sum(axis=1)[common], nats[common], atol=0.1)


def test_a_cumulative_frequency_at_a_rounding_boundary_is_computed_again():
    values = np.array([1.2, 2.5 + 1e-8, 3.9])
    assert pixels._certain_integers(values, lambda i: Decimal("2.4999")).tolist() == [1, 2, 4]
    assert pixels._certain_integers(values, lambda i: Decimal("2.5001")).tolist() == [1, 3, 4]


def test_the_sigmoid_with_fifty_digits_is_the_sigmoid():
    for distance in (-800, -3, 0, 500):
        expected = 1 / (1 + np.exp(-distance / 1020 * np.exp(2.5)))
        assert float(pixels._exact_sigmoid(distance, -2.5)) == pytest.approx(expected, rel=1e-12)
