"""Training continues from weights whose batch norms were folded into other layers."""

import pytest
import torch
from torch import Tensor, nn

from model_store.vae import VAE, reparameterise
from model_store.vae.derived import derive_vae
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae, images
from training.data.images import Images
from training.fitting.batch_norm import lack_statistics, restore_statistics
from training.runs.start import load_start

KINDS = ("conv", "colour")


def pixels(kind: str, rows: int) -> Tensor:
    return torch.from_numpy(images(kind, rows))


def norms(vae: VAE) -> list[nn.BatchNorm2d]:
    return [module for module in vae.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def outputs(vae: VAE, kind: str) -> tuple[Tensor, ...]:
    """Return mu, logvar and the logits of draws from q(z | x)."""
    x = pixels(kind, 400).float() / 255
    mu, logvar = vae.posterior(x)
    eps = torch.randn(mu.shape, generator=torch.Generator().manual_seed(1))
    return mu, logvar, vae.logits(reparameterise(mu, logvar, eps))


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).square().mean() / theirs.var())


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_without_statistics_computes_while_training_what_was_published(kind: str):
    derived = derive_vae(exact_network(kind), SPECS[kind])
    vae = VAE(SPECS[kind])
    load_start(vae, derived, Images(pixels(kind, 400)))
    for ours, theirs in zip(outputs(vae.eval(), kind), outputs(derived.eval(), kind), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)
    assert not any(lack_statistics(norm) for norm in norms(vae))
    published = outputs(derived.eval(), kind)
    trained = [
        relative_error(*pair) for pair in zip(outputs(vae.train(), kind), published, strict=True)
    ]
    without = [
        relative_error(*pair)
        for pair in zip(outputs(derived.train(), kind), published, strict=True)
    ]
    assert max(trained) < 0.01
    assert max(without) > 0.3


@pytest.mark.parametrize("kind", KINDS)
def test_statistics_that_a_network_has_are_kept(kind: str):
    vae = VAE(SPECS[kind])
    vae.load_state_dict(float_vae(kind).state_dict())
    restore_statistics(vae, pixels(kind, 8).float() / 255)
    for name, tensor in float_vae(kind).state_dict().items():
        assert torch.equal(vae.state_dict()[name], tensor)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_stays_in_its_mode(training: bool):
    vae = VAE(SPECS["conv"]).train(training)
    restore_statistics(vae, pixels("conv", 8).float() / 255)
    assert vae.training is training
