import numpy as np
import pytest

from model_store.compression import posterior
from model_store.compression.ans import LOWEST_HEAD, Message
from model_store.compression.gaussian import PosteriorTables
from model_store.compression.posterior import Posterior, Posteriors, through_flow
from model_store.errors import DamagedFileError
from tests.unit.arithmetic.networks import images
from tests.unit.compression.codecs import exact_model


def message(words: int) -> Message:
    numbers = np.random.default_rng(0).integers(0, 2**32, words, np.uint32)
    return Message(np.full(4, LOWEST_HEAD, np.uint64), numbers)


@pytest.mark.parametrize("kind", ["mlp", "flow"])
def test_latents_that_were_popped_can_be_pushed_back(kind: str):
    q = Posteriors(exact_model(kind))(images(kind, 4))
    stack = message(100)
    before = stack.words
    latents = q.pop(stack)
    assert len(stack.words) < len(before)
    q.push(stack, latents)
    assert np.array_equal(stack.words, before)


def test_a_latent_far_from_mu_is_damage():
    zeros = np.zeros((4, 2), np.float32)
    q = Posterior(PosteriorTables(), zeros, zeros - 6)
    with pytest.raises(DamagedFileError, match="latent"):
        q.push(message(0), np.full((4, 2), 500))


def test_precisions_of_u_are_those_of_the_linear_flow():
    exact = exact_model("flow")
    assert exact.flow is not None
    mu, logvar = exact.posterior(images("flow", 20))
    mean, logvar_u = through_flow(exact.flow, mu, logvar)
    for i in range(5):
        step = np.zeros(5, np.float32)
        step[i] = 2.0**-6
        slope = (exact.flow.inverse(mean + step) - exact.flow.inverse(mean - step)) * 2.0**5
        precision = (slope.astype(np.float64) ** 2 / np.exp(logvar)).sum(axis=1)
        expected = -np.log(precision * posterior.NARROWING)
        np.testing.assert_allclose(logvar_u[:, i], expected, atol=0.01)
    np.testing.assert_array_equal(mean, exact.flow.forward(mu))
