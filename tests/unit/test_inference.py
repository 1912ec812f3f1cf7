"""The network rewritten for inference computes the trained network's results, with fixed bits."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from model_store.spec import MLP, Conv, Flow, ImageShape, ModelSpec, Residual
from model_store.vae import VAE, compile_for_inference
from model_store.vae.compiled import OneDnnLayer, ProductDeconvolution

CPU = torch.device("cpu")
Network = MLP | Conv | Residual
NETWORKS: dict[str, Network] = {
    "mlp": MLP(hidden=(16, 12)),
    "conv": Conv(channels=(4, 6), hidden=12),
    "conv with batch norm": Conv(channels=(4, 6), hidden=12, batch_norm=True),
    "kernel of 3": Conv(channels=(4, 6), hidden=12, kernel=3, batch_norm=True),
    "residual": Residual(channels=(4, 6), hidden=12),
    "residual with batch norm": Residual(channels=(4, 6), hidden=12, batch_norm=True),
}
IMAGES = {"grey": ImageShape(), "odd colour": ImageShape(channels=3, height=21, width=19)}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread, as the engine does; with more, a row's bits depend on its position."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> Network:
    return NETWORKS[request.param]


def trained(network: Network, image: ImageShape) -> VAE:
    """Return a model with random batch-norm statistics and residual blocks that change their input."""
    torch.manual_seed(0)
    vae = VAE(ModelSpec(network=network, latent=6, image=image))
    for module in vae.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.Conv2d) and not module.weight.any():
            nn.init.normal_(module.weight, std=0.1)
    return vae.eval().requires_grad_(False)


def outputs(vae: VAE, x: Tensor, z: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return [*vae.encode(x), vae.mean_image(vae.decode(z))]


@pytest.mark.parametrize("packs", [True, False], ids=["packed", "by torch"])
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_it_computes_what_was_trained(
    network: Network, image: ImageShape, packs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_store.vae.compiled.HAS_ONEDNN_PREPACK", packs)
    vae = trained(network, image)
    x, z = torch.rand(16, *image.shape), torch.randn(16, 6)
    expected = outputs(vae, x, z)
    ready = compile_for_inference(vae, CPU)
    if not packs:
        assert not any(isinstance(module, OneDnnLayer) for module in ready.modules())
    for found, plain in zip(outputs(ready, x, z), expected, strict=True):
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)
    for again, plain in zip(outputs(vae, x, z), expected, strict=True):
        assert torch.equal(again, plain), "the model that was handed over has changed"


def test_two_copies_give_the_same_bits_wherever_an_image_is(
    network: Network,
) -> None:
    vae = trained(network, ImageShape())
    one, other = compile_for_inference(vae, CPU), compile_for_inference(vae, CPU)
    x, z = torch.rand(16, 1, 28, 28), torch.randn(16, 6)
    order = torch.randperm(16)
    moved = outputs(other, x[order], z[order])
    for found, elsewhere in zip(outputs(one, x, z), moved, strict=True):
        assert torch.equal(found[order], elsewhere)


def test_batch_norm_after_a_convolution_is_gone() -> None:
    ready = compile_for_inference(trained(NETWORKS["conv with batch norm"], ImageShape()), CPU)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in ready.modules())


def test_the_last_deconvolution_is_a_product_on_a_cpu() -> None:
    ready = compile_for_inference(trained(NETWORKS["conv"], ImageShape()), CPU)
    *_, last = ready.decoder.children()
    assert isinstance(last, ProductDeconvolution)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is without oneDNN")
def test_every_layer_that_runs_on_a_cpu_is_laid_out_for_it_once(network: Network) -> None:
    ready = compile_for_inference(trained(network, ImageShape()), CPU)
    layers = nn.Linear | nn.Conv2d | nn.ConvTranspose2d
    assert not any(isinstance(module, layers) for module in ready.modules())


def test_a_flow_is_made_ready_with_the_rest() -> None:
    torch.manual_seed(0)
    spec = ModelSpec(network=MLP(hidden=(16,)), latent=6, prior=Flow(couplings=2, hidden=8))
    vae = VAE(spec).eval()
    for parameter in vae.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, u = torch.rand(16, 1, 28, 28), torch.randn(16, 6)
    ready = compile_for_inference(vae, CPU)
    for found, plain in zip(outputs(ready, x, u), outputs(vae, x, u), strict=True):
        torch.testing.assert_close(found, plain, atol=1e-5, rtol=0)
