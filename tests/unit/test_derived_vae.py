import numpy as np
import pytest
import torch

from model_store.vae.derived import derive_vae
from tests.unit.arithmetic.networks import SPECS, exact_network, float_vae, images


@pytest.fixture(params=SPECS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_derived_weights_encode_like_the_weights_that_were_quantised(kind: str):
    x = torch.from_numpy(images(kind, 40)).float() / 255
    derived, original = derive_vae(exact_network(kind), SPECS[kind]), float_vae(kind)
    with torch.inference_mode():
        for ours, theirs in zip(derived.posterior(x), original.posterior(x), strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=0.02)


def test_derived_weights_decode_like_the_weights_that_were_quantised(kind: str):
    derived, original = derive_vae(exact_network(kind), SPECS[kind]), float_vae(kind)
    z = torch.randn(40, SPECS[kind].latent, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours, theirs = derived.decode(z), original.decode(z)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=0.06)


def test_a_derived_network_has_the_tensors_that_the_spec_asks_for(kind: str):
    derived, original = derive_vae(exact_network(kind), SPECS[kind]), float_vae(kind)
    shapes = {name: tensor.shape for name, tensor in original.state_dict().items()}
    assert {name: tensor.shape for name, tensor in derived.state_dict().items()} == shapes
