import hashlib
import math

import numpy as np
import pytest

from model_store.compression import gaussian
from model_store.compression.ans import TOTAL
from model_store.compression.gaussian import PosteriorTables, prior_table

ERF_ERROR = 2.0**-46
TABLES_SHA256 = "2384f6de4364401e49504acc0e372858492d72ac750a1ad3f9faa5386e24b803"


def tables() -> list[tuple[float, int]]:
    """Return (sigma, reach) of every table."""
    rows = [(gaussian.sigma(n), gaussian._reach(n)) for n in range(gaussian.SIGMAS)]
    return [(1.0, gaussian.LARGEST), *rows]


def test_no_library_can_round_a_frequency_differently():
    for scale, reach in tables():
        real = gaussian.real_cumulative(scale, reach)[1:-1]
        distance = np.abs(real - np.floor(real) - 0.5)
        assert distance.min() > TOTAL * ERF_ERROR


def test_the_tables_are_those_that_files_were_written_with():
    digest = hashlib.sha256()
    for scale, reach in tables():
        digest.update(gaussian.discretised_normal(scale, reach).astype("<i4").tobytes())
    assert digest.hexdigest() == TABLES_SHA256


def test_frequencies_are_those_of_a_normal_distribution():
    for scale, reach in tables():
        share = gaussian.discretised_normal(scale, reach) / TOTAL
        steps = np.arange(-reach, reach + 1) * 2.0**-gaussian.GRID_EXPONENT
        assert share.sum() == 1
        assert (share * steps).sum() == pytest.approx(0, abs=1e-3)
        variance = scale**2 + 2.0 ** (-2 * gaussian.GRID_EXPONENT) / 12  # Sheppard's correction
        assert (share * steps**2).sum() == pytest.approx(variance, rel=0.02, abs=1e-5)


def test_a_posterior_lies_around_mu():
    posteriors = PosteriorTables()
    mu = np.array([[-3.0, 0.0, 1.26, 40.0]], np.float32)
    logvar = np.array([[-9.0, 0.0, -2.0, -1.0]], np.float32)
    rows, origins = posteriors.rows_and_origins(mu, logvar)
    generator = np.random.default_rng(0)
    slots = generator.integers(0, TOTAL, 20_000, np.uint64)
    for i in range(4):
        which = np.full(len(slots), rows[0, i], np.uint64)
        z = (posteriors.distributions.places(which, slots) - origins[0, i]) / 64
        sigma = math.exp(float(logvar[0, i]) / 2)
        assert z.std() == pytest.approx(sigma, rel=0.2)
        assert np.abs(z).max() <= 16
        if i < 3:
            assert z.mean() == pytest.approx(float(mu[0, i]), abs=0.02)


def test_sigma_is_the_nearest_of_the_tables():
    posteriors = PosteriorTables()
    numbers = np.arange(gaussian.SIGMAS)
    logvar = (2 * np.log(2.0 ** (-numbers / 8)))[None].astype(np.float32)
    rows, _ = posteriors.rows_and_origins(np.zeros_like(logvar), logvar)
    assert np.array_equal(rows[0], numbers)
    rows, _ = posteriors.rows_and_origins(np.zeros((1, 2), np.float32), np.array([[9, -99]], "f4"))
    assert rows.tolist() == [[0, gaussian.SIGMAS - 1]]


def test_the_prior_reaches_the_whole_grid():
    assert len(prior_table().intervals(np.arange(2 * gaussian.LARGEST + 1))[0]) == 2049
