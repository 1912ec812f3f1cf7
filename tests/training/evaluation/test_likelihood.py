import pytest
import torch

from model_store.arithmetic.program import LATENT_LIMIT
from model_store.spec import MLP, Flow, ImageShape, ModelSpec
from model_store.vae import VAE
from training.data.images import Images, Splits
from training.evaluation import float_metrics
from training.evaluation.importance_sampling import most_nats
from training.evaluation.level import EvaluationLevel
from training.evaluation.likelihood import bound_metrics, nll_images, nll_metrics


def values(side: int, channels: int) -> int:
    return ImageShape(channels=channels, height=side, width=side).pixels


def test_the_nll_of_large_images_is_estimated_on_fewer_of_them():
    assert nll_images(values(28, 1)) == 1000
    assert nll_images(values(32, 3)) == 1000
    assert nll_images(values(64, 3)) == 250
    assert nll_images(values(128, 3)) == 100


FLOW = ModelSpec(
    network=MLP(hidden=(12,)),
    latent=5,
    image=ImageShape(height=16, width=16),
    prior=Flow(couplings=3, hidden=8),
)


def noise(spec: ModelSpec) -> Splits:
    """Return 40 images of noise as both splits."""
    drawn = torch.randint(
        256, (40, *spec.image.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return Splits("noise", Images(drawn), Images(drawn))


@torch.no_grad()
def flow_vae(largest_mu: float) -> VAE:
    """Return a VAE whose flow is not the identity, and whose largest mu of noise is `largest_mu`."""
    torch.manual_seed(0)
    vae = VAE(FLOW).eval().requires_grad_(False)
    for module in vae.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            module.weight.normal_(0, 0.05)
    vae.to_mu.bias.zero_()
    mu, _ = vae.posterior(noise(FLOW).test.batch(torch.arange(40)))
    vae.to_mu.weight.mul_(largest_mu / mu.abs().max())
    return vae


def test_a_likelihood_beyond_all_bounds_counts_as_the_bound_and_the_protocol_says_so():
    vae, data = flow_vae(1e6), noise(FLOW)
    metrics = nll_metrics(vae, data) | bound_metrics(vae, data)
    most = most_nats(FLOW)
    assert metrics["test_nll"].value == pytest.approx(most)
    assert "40 of the images with estimates above 1,774 nats" in metrics["test_nll"].protocol
    assert metrics["test_kl"].value == pytest.approx(most)
    assert metrics["test_reconstruction"].value <= most


def test_float_weights_are_measured_with_the_clamp_that_they_were_trained_with():
    vae, data = flow_vae(1.1 * LATENT_LIMIT), noise(FLOW)
    unclamped = nll_metrics(vae, data)["test_nll"]
    assert "uniform noise" not in unclamped.protocol
    measured = float_metrics.measure(vae, data, EvaluationLevel.FULL, None)["float_test_nll"]
    assert measured.value != pytest.approx(unclamped.value, abs=unclamped.tolerance)
    with vae.clamping_latents():
        assert nll_metrics(vae, data)["test_nll"].value == measured.value
    assert nll_metrics(vae, data)["test_nll"].value == unclamped.value


def test_the_protocol_of_a_usual_likelihood_names_no_bound():
    metrics = nll_metrics(flow_vae(1), noise(FLOW))
    assert "uniform noise" not in metrics["test_nll"].protocol
