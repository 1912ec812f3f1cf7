"""The networks keep their shapes, and weights alone make the model."""

import pytest
import torch

from model_store.spec import MLP, Conv, Flow, ImageShape, ModelSpec, Residual
from model_store.vae import VAE, build_vae
from model_store.vae.networks import ResidualBlock

SPECS = [
    ModelSpec(network=MLP(hidden=(12, 7)), latent=3),
    ModelSpec(network=Conv(channels=(4, 6), hidden=8), latent=5),
    ModelSpec(
        network=Conv(channels=(4, 6, 8), hidden=8),
        latent=2,
        image=ImageShape(channels=3, height=16, width=32),
        likelihood="discretised_logistic",
    ),
    ModelSpec(network=Conv(channels=(4, 4, 4, 4), hidden=8, kernel=3, batch_norm=True), latent=3),
    ModelSpec(
        network=Conv(channels=(4, 4, 4), hidden=8),
        latent=2,
        image=ImageShape(height=29, width=30),
    ),
    ModelSpec(network=Residual(channels=(4, 6), hidden=8), latent=3, logvar_bound=2),
    ModelSpec(
        network=Residual(
            channels=(4, 4, 4, 4),
            hidden=8,
            kernel=3,
            batch_norm=True,
            encoder_blocks=2,
            decoder_blocks=0,
        ),
        latent=2,
        image=ImageShape(channels=3, height=29, width=30),
    ),
    ModelSpec(network=MLP(hidden=(12,)), latent=4, prior=Flow(couplings=2, hidden=8)),
]


@pytest.mark.parametrize("spec", SPECS)
def test_the_decoder_gives_back_the_shape_that_the_encoder_took(spec: ModelSpec):
    vae = VAE(spec)
    x = torch.rand(4, *spec.image.shape)
    mu, logvar = vae.encode(x)
    x_logits = vae.decode(mu)
    assert mu.shape == logvar.shape == (4, spec.latent)
    assert x_logits.shape == x.shape
    assert vae.log_likelihood(x, x_logits).shape == (4,)


@pytest.mark.parametrize("spec", SPECS)
def test_the_mean_image_is_a_probability_per_pixel(spec: ModelSpec):
    vae = VAE(spec)
    image = vae.mean_image(100 * vae.decode(100 * torch.randn(8, spec.latent)))
    assert image.min() >= 0
    assert image.max() <= 1


@pytest.mark.parametrize("spec", SPECS)
def test_a_model_built_from_weights_computes_what_the_original_does(spec: ModelSpec):
    original = VAE(spec).eval()
    copy = build_vae(spec, original.state_dict())
    x = torch.rand(4, *spec.image.shape)
    with torch.inference_mode():
        assert torch.equal(copy.encode(x)[0], original.encode(x)[0])
        assert torch.equal(copy.decode(copy.encode(x)[0]), original.decode(original.encode(x)[0]))


def test_a_built_model_is_in_evaluation_mode_and_needs_no_gradients():
    vae = build_vae(SPECS[0], VAE(SPECS[0]).state_dict())
    assert not vae.training
    assert not any(parameter.requires_grad for parameter in vae.parameters())


def test_the_lab_network_has_the_layers_of_the_tutorials():
    vae = VAE(ModelSpec(network=MLP(hidden=(400,)), latent=20))
    weights = 784 * 400 + 400 + 2 * (400 * 20 + 20) + 20 * 400 + 400 + 400 * 784 + 784
    assert sum(parameter.numel() for parameter in vae.parameters()) == weights


def test_a_residual_block_begins_as_the_identity():
    block = ResidualBlock(4, batch_norm=False)
    h = torch.randn(2, 4, 7, 7)
    bias = dict(block.named_parameters())["change.3.bias"]
    assert torch.equal(block(h), h + bias.view(1, 4, 1, 1))


def test_a_residual_network_has_the_blocks_that_it_was_asked_for():
    network = Residual(channels=(4, 6), hidden=8, encoder_blocks=3, decoder_blocks=2)
    vae = VAE(ModelSpec(network=network, latent=3))
    for part, blocks in ((vae.encoder, 6), (vae.decoder, 4)):
        assert sum(isinstance(module, ResidualBlock) for module in part.modules()) == blocks


def test_a_bound_logvar_stays_within_it_however_far_the_encoder_goes():
    vae = VAE(ModelSpec(network=MLP(hidden=(4,)), latent=3, logvar_bound=2))
    torch.nn.init.constant_(vae.to_logvar.bias, 50.0)
    _, logvar = vae.encode(torch.rand(5, 1, 28, 28))
    assert torch.equal(logvar, torch.full((5, 3), 2.0))
