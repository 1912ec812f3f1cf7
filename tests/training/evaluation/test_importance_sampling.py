"""Compare the estimate with a model whose likelihood has a closed form."""

import math

import pytest
import torch
from torch import Tensor

from model_store.spec import MLP, ImageShape, ModelSpec
from model_store.vae import VAE, bernoulli_log_likelihood, standard_normal_log_density
from training.evaluation.importance_sampling import (
    ImportanceEstimate,
    LogJoint,
    MeanNLL,
    Propose,
    binarized_nll,
    importance_estimate,
    mean_nll,
    most_nats,
    vae_importance_estimate,
)

LATENT, PIXELS, NOISE = 3, 6, 0.7
TINY = ModelSpec(network=MLP(hidden=(5,)), latent=3, image=ImageShape(height=4, width=4))
Normal = torch.distributions.MultivariateNormal


class LinearGaussian:
    """x = W z + b + s eps: marginal and posterior are Gaussians in closed form."""

    def __init__(self, images: int = 40) -> None:
        noise = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=noise, dtype=torch.float64)

        self.w, self.b = draw(PIXELS, LATENT), draw(PIXELS)
        covariance = self.w @ self.w.T + NOISE**2 * torch.eye(PIXELS)
        marginal = Normal(self.b, covariance)
        self.x = self.b + draw(images, LATENT) @ self.w.T + NOISE * draw(images, PIXELS)
        self.exact_nll = -marginal.log_prob(self.x)
        precision = torch.eye(LATENT) + self.w.T @ self.w / NOISE**2
        mean = torch.linalg.solve(precision, self.w.T @ (self.x - self.b).T / NOISE**2).T
        self.posterior = Normal(mean, precision_matrix=precision)
        variance = torch.linalg.inv(precision).diagonal()
        # like a VAE's: no correlations; and with a wrong mean and scale
        self.wrong_posterior = Normal(mean + 0.1, torch.diag(1.5 * variance))

    def log_joint(self, z: Tensor) -> Tensor:
        x_mean = z @ self.w.T + self.b
        log_px: Tensor = (
            torch.distributions.Normal(x_mean, NOISE).log_prob(self.x.unsqueeze(1)).sum(2)
        )
        return log_px + standard_normal_log_density(z)


def proposal(posterior: Normal) -> Propose:
    def propose(k: int) -> tuple[Tensor, Tensor]:
        z = posterior.sample(torch.Size([k]))
        return z.transpose(0, 1), posterior.log_prob(z).T

    return propose


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        yield


@pytest.fixture(scope="module")
def model() -> LinearGaussian:
    return LinearGaussian()


def test_with_the_exact_posterior_one_draw_gives_the_exact_likelihood(model: LinearGaussian):
    estimate = importance_estimate(proposal(model.posterior), model.log_joint, samples=1)
    torch.testing.assert_close(estimate.nll, model.exact_nll)


def test_with_the_exact_posterior_every_sample_is_effective(model: LinearGaussian):
    estimate = importance_estimate(proposal(model.posterior), model.log_joint, samples=50)
    torch.testing.assert_close(estimate.effective_samples, torch.full((40,), 50.0).double())


def test_with_a_wrong_posterior_the_estimate_is_within_a_hundredth_of_a_nat(model: LinearGaussian):
    estimate = importance_estimate(
        proposal(model.wrong_posterior), model.log_joint, samples=20_000, chunk=1000
    )
    assert (estimate.nll.mean() - model.exact_nll.mean()).abs() < 0.01
    assert (estimate.effective_samples < 0.8 * 20_000).all()
    assert (estimate.effective_samples > 1).all()


def test_the_nll_is_overestimated_and_tightens_with_more_samples(model: LinearGaussian):
    def mean_excess(samples: int) -> float:
        propose = proposal(model.wrong_posterior)
        draws = [importance_estimate(propose, model.log_joint, samples).nll for _ in range(200)]
        return float(torch.stack(draws).mean() - model.exact_nll.mean())

    one, four, sixteen = mean_excess(1), mean_excess(4), mean_excess(16)
    assert one > 2 * four > 4 * sixteen > 0


def test_one_sample_is_worse_than_the_truth_by_the_divergence_of_the_posteriors(
    model: LinearGaussian,
):
    estimates = [
        importance_estimate(proposal(model.wrong_posterior), model.log_joint, samples=1).nll
        for _ in range(2000)
    ]
    kl = torch.distributions.kl_divergence(model.wrong_posterior, model.posterior)
    excess = torch.stack(estimates).mean(0) - model.exact_nll
    assert (excess - kl).mean().abs() < 0.03


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_the_size_of_a_chunk_changes_nothing(model: LinearGaussian, chunk: int):
    z = model.wrong_posterior.sample(torch.Size([64]))
    log_q = model.wrong_posterior.log_prob(z).T

    def replay() -> Propose:
        place = 0

        def propose(k: int) -> tuple[Tensor, Tensor]:
            nonlocal place
            place += k
            return z[place - k : place].transpose(0, 1), log_q[:, place - k : place]

        return propose

    whole = importance_estimate(replay(), model.log_joint, samples=64, chunk=64)
    parts = importance_estimate(replay(), model.log_joint, samples=64, chunk=chunk)
    torch.testing.assert_close(parts.nll, whole.nll)
    torch.testing.assert_close(parts.effective_samples, whole.effective_samples)


def test_weights_below_the_smallest_float_do_not_underflow(model: LinearGaussian):
    shifted: LogJoint = lambda z: model.log_joint(z) - 1e5  # noqa: E731 - a shift, named
    estimate = importance_estimate(proposal(model.posterior), shifted, samples=8)
    torch.testing.assert_close(estimate.nll, model.exact_nll + 1e5)


def test_zero_samples_are_refused(model: LinearGaussian):
    with pytest.raises(ValueError, match="at least one sample, got 0"):
        importance_estimate(proposal(model.posterior), model.log_joint, samples=0)


def test_the_nll_of_a_vae_is_that_of_an_integral_over_a_grid_of_latents():
    spec = TINY.model_copy(update={"latent": 1})
    vae = VAE(spec).eval()
    x = (torch.rand(6, 1, 4, 4) < 0.5).float()
    z = torch.linspace(-8, 8, 4001).unsqueeze(1)
    with torch.inference_mode():
        log_px = bernoulli_log_likelihood(x.unsqueeze(1), vae.decode(z).expand(6, 4001, 1, 4, 4))
    log_joint = log_px + standard_normal_log_density(z)
    exact_nll = -(log_joint.logsumexp(dim=1) + math.log(16 / 4000))
    estimate = vae_importance_estimate(
        vae, x, 1_000_000, torch.Generator().manual_seed(0), chunk=20_000
    )
    torch.testing.assert_close(estimate.nll.float(), exact_nll, atol=0.01, rtol=0)


def test_a_prior_that_is_passed_in_replaces_the_standard_normal():
    vae = VAE(TINY).eval()
    x = torch.rand(3, 1, 4, 4)

    def estimate(**prior: object) -> ImportanceEstimate:
        noise = torch.Generator().manual_seed(0)
        return vae_importance_estimate(vae, x, 9, noise, **prior)  # type: ignore[arg-type]

    shifted = estimate(log_prior=lambda z: standard_normal_log_density(z) - 2)
    torch.testing.assert_close(shifted.nll, estimate().nll + 2)


def test_the_same_seeds_give_the_same_numbers_and_the_spread_is_over_seeds():
    vae = VAE(TINY).eval()
    x = torch.rand(20, 1, 4, 4)
    nll = binarized_nll(vae, x, samples=8, seeds=(3, 4, 5), images_at_once=7)
    assert nll == binarized_nll(vae, x, samples=8, seeds=(3, 4, 5), images_at_once=7)
    assert nll.per_seed[1:] == binarized_nll(vae, x, 8, seeds=(4, 5), images_at_once=7).per_seed
    assert nll.mean == pytest.approx(torch.tensor(nll.per_seed).mean().item())
    assert nll.std == pytest.approx(torch.tensor(nll.per_seed).std().item(), rel=1e-4)
    assert (nll.samples, nll.images) == (8, 20)
    assert 1 <= nll.effective_samples <= 8


def test_one_seed_has_no_standard_deviation_and_no_seed_is_refused():
    assert MeanNLL((80.0,), 5.0, 8, 10).std == 0
    with pytest.raises(ValueError, match="needs a seed"):
        binarized_nll(VAE(TINY), torch.rand(2, 1, 4, 4), samples=1, seeds=())


def estimate_of(*nll: float) -> ImportanceEstimate:
    return ImportanceEstimate(torch.tensor(nll, dtype=torch.float64), torch.ones(len(nll)))


def test_an_image_counts_at_most_ten_times_the_nats_of_uniform_noise():
    most = most_nats(TINY)
    assert most == pytest.approx(10 * 16 * math.log(2))
    wild = [estimate_of(5.0, 1e15, 7.0, math.nan), estimate_of(5.0, 6.0, math.inf, 8.0)]
    nll = mean_nll(wild, 9, most)
    assert nll.per_seed == pytest.approx(((12 + 2 * most) / 4, (19 + most) / 4))
    assert nll.bounded_images == 3
    assert (nll.samples, nll.images) == (9, 4)


def test_means_of_images_below_the_bound_are_as_without_it():
    nll = mean_nll([estimate_of(5.0, 6.5)], 9, most_nats(TINY))
    assert nll.per_seed == (5.75,)
    assert nll.bounded_images == 0
