"""The flow between z and u ~ N(0, I): invertible, its determinant exact, the prior a density."""

import math

import pytest
import torch

from model_store.spec import MLP, Flow, ImageShape, ModelSpec
from model_store.vae import VAE, build_vae, standard_normal_log_density
from model_store.vae.flow import RealNVP


def bent(flow: RealNVP, seed: int = 0) -> RealNVP:
    """With random weights, also where it begins with zeros."""
    noise = torch.Generator().manual_seed(seed)
    for weight in flow.parameters():
        torch.nn.init.normal_(weight, std=0.4, generator=noise)
    return flow.double().eval()


def with_a_flow(latent: int) -> VAE:
    spec = ModelSpec(
        network=MLP(hidden=(8,)),
        latent=latent,
        image=ImageShape(height=4, width=4),
        prior=Flow(couplings=4, hidden=8),
    )
    vae = VAE(spec).double().eval()
    assert vae.flow is not None
    bent(vae.flow)
    return vae


def draws(images: int, latent: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(1)
    return torch.randn(images, latent, generator=noise, dtype=torch.float64)


def test_a_fresh_flow_changes_nothing():
    z = draws(8, 5)
    u, log_det = RealNVP(Flow(couplings=3, hidden=4), 5).double()(z)
    assert torch.equal(u, z)
    assert torch.equal(log_det, torch.zeros(8, dtype=torch.float64))


@pytest.mark.parametrize("latent", [2, 5, 32])
def test_the_inverse_gives_back_what_went_in(latent: int):
    flow = bent(RealNVP(Flow(couplings=6, hidden=16), latent))
    z = draws(64, latent)
    torch.testing.assert_close(flow.inverse(flow(z)[0]), z, atol=1e-5, rtol=0)
    torch.testing.assert_close(flow(flow.inverse(z))[0], z, atol=1e-5, rtol=0)


@pytest.mark.parametrize("latent", [2, 5])
def test_the_log_determinant_is_that_of_the_jacobian(latent: int):
    flow = bent(RealNVP(Flow(couplings=4, hidden=8), latent))
    for z in draws(5, latent):
        jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], z)
        _, log_det = torch.linalg.slogdet(jacobian)
        torch.testing.assert_close(flow(z[None])[1][0], log_det)


def test_every_dimension_moves_every_other():
    flow = bent(RealNVP(Flow(couplings=4, hidden=8), 6))
    jacobian = torch.autograd.functional.jacobian(lambda one: flow(one[None])[0][0], draws(1, 6)[0])
    assert (jacobian != 0).all()


def test_the_density_of_a_flow_prior_sums_to_one():
    vae = with_a_flow(2)
    line = torch.linspace(-30, 30, 401, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)
    with torch.inference_mode():
        mass = vae.log_prior(z).exp().sum().item() * (line[1] - line[0]).item() ** 2
    assert mass == pytest.approx(1, abs=0.01)


def test_a_model_without_a_flow_has_n_0_i_as_its_prior():
    spec = ModelSpec(network=MLP(hidden=(4,)), latent=3, image=ImageShape(height=4, width=4))
    z = torch.zeros(1, 3)
    log_density = VAE(spec).log_prior(z)
    assert log_density.item() == pytest.approx(-1.5 * math.log(2 * math.pi))
    assert torch.equal(log_density, standard_normal_log_density(z))


def test_decoding_what_an_image_encodes_to_is_decoding_the_mean_of_its_posterior():
    vae = with_a_flow(6)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        u, _ = vae.encode(x)
        torch.testing.assert_close(vae.decode(u), vae.logits(vae.posterior(x)[0]))


def test_the_variance_of_u_is_that_of_draws_where_the_posterior_is_narrow():
    vae = with_a_flow(4)
    torch.nn.init.zeros_(vae.to_logvar.weight)
    torch.nn.init.constant_(vae.to_logvar.bias, 2 * math.log(0.01))
    x = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.inference_mode():
        mu, logvar = vae.posterior(x)
        assert vae.flow is not None
        drawn, _ = vae.flow(mu + torch.exp(0.5 * logvar) * draws(40_000, 4))
        _, stated = vae.encode(x)
    torch.testing.assert_close(drawn.var(dim=0), stated[0].exp(), rtol=0.05, atol=0)


def test_samples_of_n_0_i_become_samples_of_the_prior():
    vae = with_a_flow(3)
    assert vae.flow is not None
    with torch.inference_mode():
        z = vae.flow.inverse(draws(40_000, 3))
        # E_p[q(z) / p(z)] = 1 for any density q
        ratio = (standard_normal_log_density(z) - vae.log_prior(z)).exp()
    assert ratio.mean().item() == pytest.approx(1, abs=5 * ratio.std().item() / 200)


def test_what_q_draws_has_a_place_in_the_space_of_n_0_i():
    vae = with_a_flow(4)
    z = draws(16, 4)
    torch.testing.assert_close(vae.decode(vae.to_u(z)), vae.logits(z))
    plain = VAE(vae.spec.model_copy(update={"prior": None})).double()
    assert torch.equal(plain.to_u(z), z)


def test_a_flow_comes_back_from_its_weights():
    original = with_a_flow(5)
    copy = build_vae(original.spec, original.state_dict())
    u = draws(3, 5)
    with torch.inference_mode():
        assert torch.equal(copy.decode(u), original.decode(u))


def test_a_flow_over_one_dimension_is_refused():
    with pytest.raises(ValueError, match="two latent dimensions"):
        ModelSpec(network=MLP(hidden=(4,)), latent=1, prior=Flow())
