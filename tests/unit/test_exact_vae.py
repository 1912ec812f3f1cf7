"""ExactVAE: the exact network with the interface that measurements use."""

import numpy as np
import pytest
import torch

from model_store.arithmetic.executors.numpy_executor import NumpyExecutor
from model_store.arithmetic.model import ExactModel
from model_store.arithmetic.program import LATENT_LIMIT
from model_store.vae import TrainedVAE
from model_store.vae.exact import ROWS_AT_ONCE, ExactVAE
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae, images


def exact_vae(kind: str) -> ExactVAE:
    return ExactVAE(exact_network(kind), SPECS[kind])


def reference(kind: str) -> ExactModel:
    return ExactModel(exact_network(kind), SPECS[kind], lambda f, _shape: NumpyExecutor(f))


def latents(kind: str, rows: int = 7) -> torch.Tensor:
    return torch.randn(rows, SPECS[kind].latent, generator=torch.Generator().manual_seed(1))


def floats(grey: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> torch.Tensor:
    return torch.from_numpy(grey).float().div_(255)


@pytest.mark.parametrize("kind", SPECS)
def test_it_gives_the_bytes_of_the_reference(kind: str):
    vae, model = exact_vae(kind), reference(kind)
    grey, u = images(kind, 7, seed=1), latents(kind)
    for ours, theirs in zip(vae.posterior(floats(grey)), model.posterior(grey), strict=True):
        assert np.array_equal(ours.numpy(), theirs)
    for ours, theirs in zip(vae.encode(floats(grey)), model.encode(grey), strict=True):
        assert np.array_equal(ours.numpy(), theirs)
    logits = vae.decode(u)
    shown = (vae.mean_image(logits) * 255).round().to(torch.uint8).numpy()
    assert np.array_equal(shown, model.decode(u.numpy()))
    nats = vae.log_likelihood(floats(grey), logits)
    assert np.array_equal(nats.numpy(), model.log_likelihood(grey, u.numpy()))
    assert np.array_equal(vae.to_u(u).numpy(), model.to_u(u.numpy()))


@pytest.mark.parametrize("kind", SPECS)
def test_it_is_near_the_float_network(kind: str):
    exact: TrainedVAE = exact_vae(kind)
    vae: TrainedVAE = float_vae(kind)
    x, z = floats(images(kind, 64)), latents(kind, 64)
    assert (exact.has_flow, exact.spec, exact.device) == (vae.has_flow, vae.spec, vae.device)
    for ours, theirs in zip(exact.posterior(x), vae.posterior(x), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.03, rtol=0.02)
    torch.testing.assert_close(exact.logits(z), vae.logits(z), atol=0.03, rtol=0.02)
    torch.testing.assert_close(exact.log_prior(z), vae.log_prior(z), atol=0.05, rtol=0.02)
    for ours, theirs in zip(exact.z_to_u(z), vae.z_to_u(z), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.02)
    log_px = vae.log_likelihood(x, vae.logits(z))
    torch.testing.assert_close(
        exact.log_likelihood(x, exact.logits(z)), log_px, atol=0.5, rtol=0.02
    )


def test_more_rows_than_are_computed_at_once_give_the_same_bytes():
    vae = exact_vae("conv")
    rows = 2 * ROWS_AT_ONCE["cpu"] + 3
    z = latents("conv", rows)
    together, alone = vae.decode(z), torch.cat([vae.decode(row) for row in z.split(1)])
    assert torch.equal(together, alone)
    assert len(together) == rows


@pytest.mark.parametrize("kind", SPECS)
def test_the_float_network_is_trained_with_latents_clamped_as_the_exact_one_does(kind: str):
    exact, vae = exact_vae(kind), float_vae(kind).train()
    far = 60 * latents(kind, 16)
    near = far.clamp(-LATENT_LIMIT, LATENT_LIMIT)
    assert not torch.equal(far, near)
    for network in (exact, vae):
        assert torch.equal(network.logits(far), network.logits(near))


@pytest.mark.parametrize("kind", SPECS)
def test_the_float_network_clamps_latents_in_evaluation_mode_only_if_asked_to(kind: str):
    vae = float_vae(kind).eval()
    far = 60 * latents(kind, 16)
    near = far.clamp(-LATENT_LIMIT, LATENT_LIMIT)
    assert not torch.equal(vae.logits(far), vae.logits(near))
    before = vae.z_to_u(far)[0]
    with vae.clamping_latents():
        assert torch.equal(vae.logits(far), vae.logits(near))
        clamped = vae.z_to_u(far)[0]
    assert torch.equal(vae.z_to_u(far)[0], before)
    assert torch.equal(clamped, before) is (vae.flow is None)


def test_a_flow_stays_invertible_beyond_the_limit_of_latents():
    kind = next(name for name, spec in SPECS.items() if spec.prior)
    vae = float_vae(kind).train()
    far = 60 * latents(kind, 16)
    assert vae.flow is not None
    torch.testing.assert_close(vae.flow.inverse(vae.to_u(far)), far, atol=1e-2, rtol=1e-3)
