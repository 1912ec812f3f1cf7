import math
from typing import cast

import torch
from torch.nn import functional as F

from model_store.spec import MLP, Flow, ModelSpec
from model_store.vae import VAE, normal_log_density
from training.data.images import Images
from training.fitting.objective import (
    Terms,
    bound,
    several_draws,
    single_draw,
    with_free_bits,
)
from training.fitting.trainer import initialise


def batch_and_noise(vae: VAE, images: Images, count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    x = images.batch(torch.arange(count))
    return x, torch.randn(count, vae.spec.latent, generator=torch.Generator().manual_seed(1))


def test_the_loss_equals_the_formula_written_out(vae: VAE, images: Images):
    x, eps = batch_and_noise(vae, images)
    mu, logvar = vae.encode(x)
    x_mean = torch.sigmoid(vae.decode(mu + torch.exp(logvar / 2) * eps))
    log_px = (x * x_mean.log() + (1 - x) * (1 - x_mean).log()).sum(dim=(1, 2, 3))
    kl = -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(dim=1)
    torch.testing.assert_close(bound(vae, x, eps).loss(4.0), -(log_px - 4.0 * kl))


def test_with_beta_one_the_loss_is_minus_the_elbo(vae: VAE, images: Images):
    parts = bound(vae, *batch_and_noise(vae, images))
    assert torch.equal(parts.loss(1.0), -parts.elbo)


def test_with_beta_zero_a_decoder_that_ignores_z_leaves_the_encoder_alone(vae: VAE, images: Images):
    torch.nn.init.zeros_(next(vae.decoder.parameters()))
    pressure = {}
    for beta in (0.0, 1.0):
        vae.zero_grad()
        bound(vae, *batch_and_noise(vae, images)).loss(beta).sum().backward()
        pressure[beta] = cast(torch.Tensor, vae.to_mu.weight.grad).abs().max().item()
    assert pressure[0.0] == 0.0
    assert pressure[1.0] > 0.0


def test_pixels_are_summed_and_not_averaged(vae: VAE, images: Images):
    for weight in vae.decoder.parameters():
        torch.nn.init.zeros_(weight)
    x, eps = batch_and_noise(vae, images)
    # every logit is 0: each of 784 pixels costs one bit whatever its value
    torch.testing.assert_close(bound(vae, x, eps).log_px, torch.full((8,), -784 * math.log(2)))


def test_the_elbo_is_below_the_exact_likelihood_of_a_small_model(images: Images):
    vae = initialise(ModelSpec(network=MLP(hidden=(8,)), latent=1), seed=0).double()
    x = images.batch(torch.arange(4)).double()
    grid = torch.linspace(-8, 8, 2001, dtype=torch.float64).unsqueeze(1)  # z by quadrature
    with torch.no_grad():
        x_logits = vae.decode(grid)
        prior = normal_log_density(grid, torch.zeros(1), torch.zeros(1))
        log_joint = prior + torch.stack(
            [vae.log_likelihood(one.expand(len(grid), 1, 28, 28), x_logits) for one in x]
        )
        log_px = log_joint.logsumexp(dim=1) + math.log(16 / 2000)
        mu, logvar = vae.encode(x)
        log_q = normal_log_density(grid, mu.unsqueeze(1), logvar.unsqueeze(1))
        gap = F.softmax(log_q, dim=1) * (log_q - (log_joint - log_px.unsqueeze(1)))
        quantiles = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
        eps = torch.special.ndtri(quantiles).unsqueeze(1)  # a normal sample without sampling noise
        elbo = torch.stack([bound(vae, one.expand(2000, 1, 28, 28), eps).elbo.mean() for one in x])
    # ln p(x) - ELBO = KL(q(z | x) || p(z | x)) >= 0
    assert (elbo < log_px).all()
    torch.testing.assert_close(log_px - elbo, gap.sum(dim=1), atol=0.02, rtol=0)


def test_without_free_bits_the_kl_is_the_plain_one():
    kl = torch.rand(8, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(with_free_bits(kl, 0.0), kl.sum(dim=1))


def test_free_bits_cost_the_larger_of_the_threshold_and_the_mean_kl_of_each_dimension():
    kl = torch.tensor([[0.0, 1.0], [0.2, 3.0]])
    # means 0.1 and 2: the first costs the threshold 0.5, the second its mean
    torch.testing.assert_close(with_free_bits(kl, 0.5).mean(), torch.tensor(2.5))


def test_free_bits_remove_the_gradient_only_from_dimensions_below_the_threshold():
    kl = torch.tensor([[0.0, 1.0], [0.2, 3.0]], requires_grad=True)
    torch.autograd.backward(with_free_bits(kl, 0.5).mean())
    assert kl.grad is not None
    assert kl.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]


# --- several draws -----------------------------------------------------------------------------


def draws(vae: VAE, k: int, batch: int, seed: int = 1) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.randn(k, batch, vae.spec.latent, generator=noise, dtype=torch.float64)


def encoder_gradient(vae: VAE, terms: Terms) -> torch.Tensor:
    vae.zero_grad()
    torch.autograd.backward(terms.surrogate.sum())
    return torch.cat([cast(torch.Tensor, w.grad).flatten() for w in vae.to_mu.parameters()])


def test_one_draw_of_the_importance_weighted_bound_is_the_elbo_with_an_estimated_kl(
    vae: VAE, images: Images
):
    vae.double()
    x = images.batch(torch.arange(8)).double()
    eps = draws(vae, 4000, 1).expand(4000, 8, 3)
    one = bound(vae, x, eps[0])
    drawn = several_draws(vae, x, eps[:1], 1.0, doubly_reparameterised=False)
    torch.testing.assert_close(drawn.log_px, one.log_px)
    torch.testing.assert_close(drawn.loss, -(drawn.log_px - drawn.kl))
    # the mean of the estimated KL over many draws is the exact KL
    with torch.no_grad():
        mean = several_draws(vae, x, eps, 1.0, doubly_reparameterised=False).kl
    torch.testing.assert_close(mean, one.kl, atol=0.1, rtol=0)


def test_more_draws_tighten_the_bound_without_exceeding_the_likelihood(images: Images):
    vae = initialise(ModelSpec(network=MLP(hidden=(8,)), latent=1), seed=0).double()
    torch.nn.init.normal_(vae.decoder[0].weight, std=2.0)  # type: ignore[index]
    x = images.batch(torch.arange(2)).double()
    grid = torch.linspace(-8, 8, 2001, dtype=torch.float64).unsqueeze(1)
    with torch.no_grad():
        x_logits = vae.decode(grid)
        log_joint = vae.log_prior(grid) + torch.stack(
            [vae.log_likelihood(one.expand(len(grid), 1, 28, 28), x_logits) for one in x]
        )
        nll = -(log_joint.logsumexp(dim=1) + math.log(16 / 2000))
        losses = {
            k: torch.stack(
                [
                    several_draws(
                        vae, x, draws(vae, k, 2, s), 1.0, doubly_reparameterised=True
                    ).loss
                    for s in range(400)
                ]
            ).mean(dim=0)
            for k in (1, 8, 64)
        }
    assert (losses[1] > losses[8]).all()
    assert (losses[8] > losses[64]).all()
    assert (losses[64] > nll - 0.02).all()
    torch.testing.assert_close(losses[64], nll, atol=0.5, rtol=0)


def test_the_surrogate_has_the_gradient_of_the_importance_weighted_loss(vae: VAE, images: Images):
    vae.double()
    x, eps = images.batch(torch.arange(4)).double(), draws(vae, 5, 4)
    estimate = encoder_gradient(vae, several_draws(vae, x, eps, 1.0, doubly_reparameterised=False))
    mu, logvar = vae.posterior(x)
    z = mu + torch.exp(0.5 * logvar) * eps
    log_w = torch.stack(
        [
            vae.log_likelihood(x, vae.logits(one))
            + vae.log_prior(one)
            - normal_log_density(one, mu, logvar)
            for one in z
        ]
    )
    vae.zero_grad()
    torch.autograd.backward(-(log_w.logsumexp(dim=0) - math.log(5)).sum())
    exact = torch.cat([cast(torch.Tensor, w.grad).flatten() for w in vae.to_mu.parameters()])
    torch.testing.assert_close(estimate, exact)


def test_the_doubly_reparameterised_gradient_has_the_same_mean_and_less_noise(
    vae: VAE, images: Images
):
    vae.double()
    x = images.batch(torch.arange(1)).double()
    gradients = {}
    for double in (False, True):
        drawn = [
            encoder_gradient(
                vae, several_draws(vae, x, draws(vae, 8, 1, s), 1.0, doubly_reparameterised=double)
            )
            for s in range(600)
        ]
        gradients[double] = torch.stack(drawn)
    means = {double: drawn.mean(dim=0) for double, drawn in gradients.items()}
    errors = {double: drawn.std(dim=0) / 600**0.5 for double, drawn in gradients.items()}
    distance = (means[True] - means[False]).abs()
    assert (distance <= 5 * (errors[True] + errors[False])).all()
    assert errors[True].norm() < errors[False].norm()


def test_the_decoder_learns_the_same_from_either_gradient(vae: VAE, images: Images):
    x, eps = images.batch(torch.arange(4)), draws(vae, 5, 4).float()
    gradients = []
    for double in (False, True):
        encoder_gradient(vae, several_draws(vae, x, eps, 1.0, doubly_reparameterised=double))
        gradients.append([cast(torch.Tensor, w.grad).clone() for w in vae.decoder.parameters()])
    for plain, doubled in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, doubled)


def test_under_a_new_flow_the_mean_loss_is_that_without_a_flow(images: Images):
    plain = ModelSpec(network=MLP(hidden=(8,)), latent=4)
    flowing = plain.model_copy(update={"prior": Flow(couplings=2, hidden=8)})
    vaes = [initialise(plain, seed=0), initialise(flowing, seed=0)]
    vaes[1].load_state_dict(vaes[0].state_dict(), strict=False)
    x = images.batch(torch.arange(4))
    with torch.no_grad():
        losses = [
            torch.stack(
                [
                    single_draw(vae, x, draws(vae, 1, 4, s)[0].float(), 1.0, 0.0).loss
                    for s in range(900)
                ]
            ).mean()
            for vae in vaes
        ]
    torch.testing.assert_close(losses[0], losses[1], atol=0.3, rtol=0)
