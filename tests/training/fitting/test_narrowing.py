import pytest
import torch

from model_store.spec import Conv, Flow, ImageShape, ModelSpec, Residual
from model_store.vae import VAE
from training.fitting.narrowing import can_be_narrowed, narrowed_weights
from training.fitting.trainer import initialise

IMAGE = ImageShape(height=8, width=8)
WIDE = ModelSpec(network=Residual(channels=(4,), hidden=12), latent=3, image=IMAGE)
NARROW = WIDE.model_copy(update={"network": Residual(channels=(4,), hidden=7)})


@pytest.mark.parametrize("kind", [Conv, Residual])
def test_hidden_units_that_move_nothing_are_left_out_and_the_function_stays(
    kind: type[Conv | Residual],
):
    wide = WIDE.model_copy(update={"network": kind(channels=(4,), hidden=12)})
    narrow = wide.model_copy(update={"network": kind(channels=(4,), hidden=7)})
    vae = initialise(wide, seed=0)
    unused = [0, 3, 4, 8, 11]
    with torch.no_grad():
        outgoing = vae.state_dict()
        for name in ("to_mu", "to_logvar", "decoder.2"):
            outgoing[f"{name}.weight"][:, unused] = 0
    images = torch.rand((200, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    small = VAE(narrow)
    small.load_state_dict(narrowed_weights(vae, narrow, images))
    z = torch.randn((5, 3), generator=torch.Generator().manual_seed(1))
    pairs = [(small.eval().posterior(images), vae.eval().posterior(images))]
    for ours, expected in (*pairs, (small.decode(z), vae.decode(z))):
        torch.testing.assert_close(ours, expected, atol=0.02, rtol=0.02)


def test_only_a_smaller_hidden_width_with_all_else_equal_can_be_narrowed():
    assert can_be_narrowed(WIDE, NARROW)
    assert can_be_narrowed(WIDE, NARROW.model_copy(update={"prior": Flow()}))
    assert not can_be_narrowed(NARROW, WIDE)
    assert not can_be_narrowed(WIDE, WIDE)
    assert not can_be_narrowed(WIDE, NARROW.model_copy(update={"latent": 2}))
    deeper = Residual(channels=(4,), hidden=7, encoder_blocks=2)
    assert not can_be_narrowed(WIDE, WIDE.model_copy(update={"network": deeper}))
