"""Estimates of the likelihood from draws, with the equations of theory as oracles."""

import math

import numpy as np
import pytest

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.importance import evidence, log_posterior, log_standard_normal
from model_store.arithmetic.model import ExactModel, fixed_inputs
from tests.unit.arithmetic.networks import SPECS, exact_network


def floats(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


def test_if_q_is_the_true_posterior_every_draw_gives_the_likelihood():
    """p(z) = N(0, 1), p(x | z) = N(x; z, 1): p(z | x) = N(x/2, 1/2), and p(x) = N(x; 0, 2)."""
    x, draws = 1.5, 7
    eps = np.random.default_rng(0).standard_normal((1, draws, 1)).astype(np.float32)
    z = x / 2 + math.sqrt(0.5) * eps[..., 0].astype(np.float64)
    log_px = -0.5 * (x - z) ** 2 - 0.5 * math.log(2 * math.pi)
    log_pz = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    log_q = log_posterior(eps, floats(math.log(0.5)))
    estimate = evidence(log_px.astype(np.float32), log_pz.astype(np.float32), log_q)
    likelihood = -0.25 * x**2 - 0.5 * math.log(4 * math.pi)
    assert estimate.elbo[0] == pytest.approx(likelihood, abs=1e-5)
    assert estimate.nll[0] == pytest.approx(-likelihood, abs=1e-5)
    assert estimate.effective_samples[0] == pytest.approx(draws, rel=1e-5)


def test_the_elbo_is_below_the_importance_weighted_bound_as_jensen_says():
    generator = np.random.default_rng(1)
    log_px, log_pz, log_q = generator.normal(-50, 5, (3, 20, 16))
    estimate = evidence(log_px.astype(np.float32), log_pz.astype(np.float32), log_q)
    assert (estimate.elbo <= -estimate.nll).all()
    assert (estimate.effective_samples >= 1).all()
    assert (estimate.effective_samples <= 16).all()
    assert estimate.elbo == pytest.approx(-estimate.reconstruction - estimate.kl, abs=1e-3)


def test_one_draw_gives_one_estimate():
    estimate = evidence(floats(-80), floats(-10), np.array([[-3.0]]))
    assert estimate.elbo[0] == -estimate.nll[0] == -87
    assert (estimate.reconstruction[0], estimate.kl[0]) == (80, 7)


def test_weights_that_no_float_holds_are_added_as_logarithms():
    estimate = evidence(floats(-30_000, -30_000), floats(0, 0), np.zeros((1, 2)))
    assert estimate.nll[0] == 30_000
    assert evidence(floats(-30_000, -90_000), floats(0, 0), np.zeros((1, 2))).nll[0] == (
        pytest.approx(30_000 + math.log(2))
    )


def test_the_density_of_0_is_that_of_the_textbook():
    assert log_standard_normal(np.zeros((1, 3), np.float32))[0] == pytest.approx(
        -1.5 * math.log(2 * math.pi)
    )


@pytest.mark.parametrize("kind", SPECS)
def test_the_prior_of_a_flow_is_that_of_u_and_the_determinant(kind: str):
    model = ExactModel(exact_network(kind), SPECS[kind], lambda f, _: NumpyExecutor(f))
    levels, z = fixed_inputs(SPECS[kind])
    log_px, log_pz = model.log_joint(levels, z)
    expected = -0.5 * (np.square(model.to_u(z)) + math.log(2 * math.pi)).sum(axis=1)
    if model.flow is not None:
        expected = expected + model.flow.log_determinant(z)
    assert log_pz == pytest.approx(expected, rel=1e-5)
    assert (log_px == model.log_likelihood_of_logits(levels, model.logits(z))).all()
