"""The typicality score and its table."""

import json
import math

import numpy as np
import pytest

from model_store import typicality
from model_store.errors import CorruptVersionError
from model_store.typicality import LEVELS, Typicality, quantile, scores, statistics
from tests.unit.typicality_tables import table


def image(*rows: list[int]) -> np.ndarray:
    return np.array([[rows]], np.uint8)


def test_the_statistics_are_those_of_the_formulas():
    x, r = image([0, 255], [255, 255]), image([0, 204], [255, 255])
    values = statistics(x, r, np.array([[3.0, 4.0]], np.float32))
    variation = 2.0  # between the black pixel and its two neighbours
    expected = [
        math.log((0.001 + 0.2**2) / (1 + variation)),
        math.log(0.001 + 25.0),
        math.log(1 + variation),
        math.log(1 + 3.0),
    ]
    assert values[0] == pytest.approx(expected, rel=1e-6)


def test_statistics_are_numbers_of_float32_so_that_every_machine_rounds_to_them():
    generator = np.random.default_rng(0)
    x, r = generator.integers(0, 256, (2, 9, 3, 8, 8), np.uint8)
    values = statistics(x, r, generator.standard_normal((9, 5)).astype(np.float32))
    assert (values == values.astype(np.float32)).all()


def test_each_image_has_the_statistics_that_it_has_alone():
    generator = np.random.default_rng(0)
    x, r = generator.integers(0, 256, (2, 9, 1, 8, 8), np.uint8)
    mu = generator.standard_normal((9, 5)).astype(np.float32)
    alone = [statistics(x[i : i + 1], r[i : i + 1], mu[i : i + 1]) for i in range(9)]
    assert (statistics(x, r, mu) == np.concatenate(alone)).all()


def test_a_black_image_that_is_reconstructed_exactly_has_finite_statistics():
    black = np.zeros((1, 1, 4, 4), np.uint8)
    assert np.isfinite(statistics(black, black, np.zeros((1, 2), np.float32))).all()


def test_an_image_at_the_centre_scores_0():
    assert scores(np.array([[1.0, 2.0, 3.0, 4.0]]), (1, 2, 3, 4), (1, 1, 1, 1))[0] == 0


@pytest.mark.parametrize(
    ("moved", "score"), [(0, 0.0), (1, 0.0), (2, 1.5), (3, 1.5)], ids=typicality.STATISTICS
)
def test_only_complexity_and_brightness_count_below_their_mean(moved: int, score: float):
    values = np.zeros((1, 4))
    values[0, moved] = -3.0
    assert scores(values, (0,) * 4, (2.0,) * 4)[0] == score
    values[0, moved] = 3.0
    assert scores(values, (0,) * 4, (2.0,) * 4)[0] == 1.5


def test_quantiles_are_shares_of_test_images_with_a_smaller_value():
    values = tuple(10 * level for level in LEVELS)
    assert quantile(-1.0, values) == 0
    assert quantile(6.3, values) == pytest.approx(0.63)
    assert quantile(6.35, values) == pytest.approx(0.635)
    assert quantile(9.99, values) == pytest.approx(0.999)
    assert quantile(11.0, values) == 1


def test_equal_test_images_give_a_quantile_of_0_or_1():
    values = (2.0,) * len(LEVELS)
    assert quantile(1.0, values) == quantile(2.0, values) == 0
    assert quantile(2.5, values) == 1


def test_one_test_image_in_a_hundred_is_atypical_and_one_in_a_thousand_out_of_distribution():
    generator = np.random.default_rng(0)
    test = np.abs(generator.standard_normal((5000, 4)))
    fitted = typicality.fit(
        generator.standard_normal((3000, 4)),
        test,
        elbo_nats=test[:, 0],
        nll_nats=test[:, 1],
        draws=8,
    )
    found = scores(test, fitted.centre, fitted.scale)
    verdicts = [fitted.verdict(float(score)) for score in found]
    assert verdicts.count("out_of_distribution") == pytest.approx(5, abs=1)
    assert verdicts.count("atypical") == pytest.approx(45, abs=2)
    assert fitted.images == fitted.likelihood_images == 5000


def test_training_images_that_are_all_alike_give_a_table_that_can_be_used():
    fitted = typicality.fit(
        np.ones((3, 4)), np.ones((1, 4)), elbo_nats=np.ones(1), nll_nats=np.ones(1), draws=1
    )
    assert fitted.verdict(0.0) == "typical"
    assert typicality.from_bytes(typicality.to_bytes(fitted)) == fitted


def test_a_table_is_read_as_it_was_written_and_takes_a_few_kilobytes():
    content = typicality.to_bytes(table())
    assert typicality.from_bytes(content) == table()
    assert len(content) < 5000


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(typicality.to_bytes(table())) | fields).encode()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "JSON"),
        (b"[]", "object"),
        (changed(scale=[1.0, 1.0, 1.0, 0.0]), "scale"),
        (changed(scale=[1.0, 1.0, 1.0]), "at least 4"),
        (changed(centre=[1e999, 1.0, 1.0, 1.0]), "finite"),
        (changed(scores=[float(-i) for i in range(len(LEVELS))]), "not ascending"),
        (changed(nll_nats=[1.0] * 5), "at least 102"),
        (changed(measure="typicality-2"), "typicality-1"),
        (changed(extra=1), "extra"),
        (changed(draws=0), "draws"),
        (b" " * (typicality.MAX_BYTES + 1), "at most 65536"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_reason(content: bytes, complaint: str):
    with pytest.raises(CorruptVersionError, match=complaint):
        typicality.from_bytes(content)


def test_numbers_of_a_table_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        table().images = 3  # type: ignore[misc]
    assert isinstance(table(), Typicality)
