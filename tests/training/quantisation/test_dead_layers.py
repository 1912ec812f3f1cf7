"""Layers whose units are 0 for every calibration image have an exact form, too."""

import numpy as np
import pytest
import torch
from torch import nn

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.spec import MLP, Conv, ImageShape, ModelSpec
from model_store.vae import VAE
from training.quantisation import quantise

IMAGE = ImageShape(height=6, width=6)
SPECS = {
    "mlp": ModelSpec(network=MLP(hidden=(12, 8)), latent=4, image=IMAGE),
    "conv": ModelSpec(network=Conv(channels=(4, 6), hidden=10, kernel=3), latent=3, image=IMAGE),
}


def kill(layer: nn.Module) -> None:
    """Make every unit of the layer negative, so that ReLU gives 0."""
    assert isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    assert layer.bias is not None
    layer.weight.zero_()
    layer.bias.fill_(-1)


def vae_with_a_dead_layer(spec: ModelSpec, part: str, place: int) -> VAE:
    torch.manual_seed(0)
    vae = VAE(spec).eval().requires_grad_(False)
    network = getattr(vae, part)
    layers = [
        network[i]
        for i in range(len(network) - 1)
        if any(isinstance(after, nn.ReLU) for after in list(network)[i + 1 : i + 3])
        and not isinstance(network[i], nn.ReLU | nn.Flatten | nn.Unflatten)
    ]
    kill(layers[place])
    return vae


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("kind", SPECS)
def test_a_network_with_a_dead_layer_gives_the_results_of_the_float_network(
    kind: str, part: str, place: int
):
    spec = SPECS[kind]
    vae = vae_with_a_dead_layer(spec, part, place)
    levels = np.random.default_rng(0).integers(0, 256, (40, *spec.image.shape), np.uint8)
    x = torch.from_numpy(levels).float() / 255
    exact = ExactModel(quantise(vae, x), spec, lambda function, _: NumpyExecutor(function))
    with torch.inference_mode():
        mu, logvar = vae.encode(x)
        mean = vae.mean_image(vae.decode(mu)) * 255
    ours = exact.encode(levels)
    np.testing.assert_allclose(ours[0], mu.numpy(), atol=0.01)
    np.testing.assert_allclose(ours[1], logvar.numpy(), atol=0.01)
    np.testing.assert_allclose(exact.decode(mu.numpy()), mean.numpy(), atol=1.5)
