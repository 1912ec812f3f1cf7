"""An exact network, compared with the float network from which it was made."""

import numpy as np
import pytest
import torch

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae, images


@pytest.fixture(params=SPECS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def exact(kind: str) -> ExactModel:
    return ExactModel(exact_network(kind), SPECS[kind], lambda function, _: NumpyExecutor(function))


def test_mu_and_logvar_are_close_to_the_float_ones(kind: str, exact: ExactModel):
    levels = images(kind, 50)
    mu, logvar = exact.posterior(levels)
    with torch.inference_mode():
        expected = float_vae(kind).posterior(torch.from_numpy(levels).float() / 255)
    assert np.abs(mu - expected[0].numpy()).max() < 0.02
    assert np.abs(logvar - expected[1].numpy()).max() < 0.02


def test_grey_levels_are_those_of_the_float_network_or_next_to_them(kind: str, exact: ExactModel):
    u = np.random.default_rng(0).standard_normal((50, SPECS[kind].latent)).astype(np.float32)
    vae = float_vae(kind)
    with torch.inference_mode():
        expected = (vae.mean_image(vae.decode(torch.from_numpy(u))) * 255).numpy()
    assert np.abs(exact.decode(u) - expected).max() < 2


def test_likelihoods_are_close_to_the_float_ones(kind: str, exact: ExactModel):
    levels = images(kind, 20)
    mu, _ = exact.encode(levels)
    vae = float_vae(kind)
    with torch.inference_mode():
        x = torch.from_numpy(levels).float() / 255
        expected = vae.log_likelihood(x, vae.decode(torch.from_numpy(mu))).numpy()
    np.testing.assert_allclose(exact.log_likelihood(levels, mu), expected, rtol=2e-3)


def test_the_flow_and_its_inverse_undo_each_other():
    exact = ExactModel(exact_network("flow"), SPECS["flow"], lambda f, _: NumpyExecutor(f))
    u = np.random.default_rng(0).standard_normal((100, 5)).astype(np.float32)
    np.testing.assert_allclose(exact.to_u(exact.to_z(u)), u, atol=1e-4)


def test_the_flow_is_close_to_the_float_one_and_so_is_its_gaussian():
    exact = ExactModel(exact_network("flow"), SPECS["flow"], lambda f, _: NumpyExecutor(f))
    vae, levels = float_vae("flow"), images("flow", 30)
    with torch.inference_mode():
        z, _ = vae.posterior(torch.from_numpy(levels).float() / 255)
        mu, logvar = vae.encode(torch.from_numpy(levels).float() / 255)
        assert vae.flow is not None
        _, log_det = vae.flow(z)
    ours = exact.encode(levels)
    np.testing.assert_allclose(exact.to_u(z.numpy()), vae.to_u(z).numpy(), atol=0.02)
    np.testing.assert_allclose(ours[0], mu.numpy(), atol=0.03)
    np.testing.assert_allclose(ours[1], logvar.numpy(), atol=0.05)
    assert exact.flow is not None
    np.testing.assert_allclose(exact.flow.log_determinant(z.numpy()), log_det.numpy(), atol=0.02)


def test_the_bernoulli_likelihood_of_a_certain_image_is_nearly_nothing():
    from model_store.arithmetic import likelihood

    levels = np.array([[[[0, 255]]]], np.uint8)
    logits = np.array([[[[-4096, 4096]]]], np.float32)
    assert likelihood.bernoulli(levels, logits)[0] == pytest.approx(
        -2 * np.log1p(np.exp(-16)), abs=1e-5
    )


def test_the_256_probabilities_of_a_pixel_sum_to_one():
    from model_store.arithmetic import likelihood

    logistic = likelihood.DiscretisedLogistic(np.array([-2.5], np.float32))
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    for logit in (-1000.0, 3.0, 700.0):
        logits = np.full((256, 1, 1, 1), logit, np.float32)
        assert np.exp(logistic(levels, logits).astype(np.float64)).sum() == pytest.approx(
            1, abs=1e-4
        )
