"""The networks keep their shapes, and weights alone make the model."""

import pytest
import torch

from model_store import MLP, VAE, Conv, ImageShape, ModelSpec, build_vae

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
