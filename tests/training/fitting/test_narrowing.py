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


@pytest.mark.parametrize("kind", [Conv, Residual])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_channels_without_weights_are_left_out_and_the_function_stays(
    kind: type[Conv | Residual], *, batch_norm: bool
):
    def spec(*channels: int) -> ModelSpec:
        network = kind(channels=channels, hidden=7, batch_norm=batch_norm)
        return WIDE.model_copy(update={"network": network})

    small, wide = initialise(spec(3, 4), seed=0), VAE(spec(5, 6))
    noise = torch.Generator().manual_seed(2)
    weights = wide.state_dict()
    for name, weight in small.state_dict().items():
        if weight.dim() == 0:  # the number of batches of a batch norm
            continue
        weight.add_(0.1 * torch.rand(weight.shape, generator=noise))
        sizes = zip(weight.shape, weights[name].shape, strict=True)
        places = [_places(old, new) for old, new in sizes]
        weights[name] = torch.zeros_like(weights[name])
        weights[name][torch.meshgrid(*places, indexing="ij")] = weight
    wide.load_state_dict(weights)
    images = torch.rand((20, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    narrowed = VAE(spec(3, 4))
    narrowed.load_state_dict(narrowed_weights(wide.eval(), narrowed.spec, images))
    narrowed.eval()
    z = torch.randn((5, 3), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(narrowed.posterior(images), wide.posterior(images))
    torch.testing.assert_close(narrowed.decode(z), wide.decode(z))
    torch.testing.assert_close(narrowed.decode(z), small.eval().decode(z))


def _places(old: int, new: int) -> torch.Tensor:
    """Return the places in a wider axis of the channels of a narrow one, each with all its pixels."""
    channels = {3: [0, 2, 4], 4: [0, 1, 3, 5]}
    pixels = 1 if old == new or old in channels else old // 4
    kept = torch.arange(old) if old == new else torch.tensor(channels[old // pixels])
    return (kept[:, None] * pixels + torch.arange(pixels)).flatten()


def test_only_networks_with_smaller_widths_and_all_else_equal_can_be_narrowed():
    assert can_be_narrowed(WIDE, NARROW.model_copy(update={"network": _with(channels=(3,))}))
    assert can_be_narrowed(
        WIDE, NARROW.model_copy(update={"network": _with(channels=(3,), hidden=7)})
    )
    assert not can_be_narrowed(
        WIDE, WIDE.model_copy(update={"network": _with(channels=(5,), hidden=7)})
    )
    assert not can_be_narrowed(WIDE, WIDE.model_copy(update={"network": _with(channels=(4, 4))}))


def _with(channels: tuple[int, ...], hidden: int = 12) -> Residual:
    return Residual(channels=channels, hidden=hidden)


def test_only_a_smaller_hidden_width_with_all_else_equal_can_be_narrowed():
    assert can_be_narrowed(WIDE, NARROW)
    assert can_be_narrowed(WIDE, NARROW.model_copy(update={"prior": Flow()}))
    assert not can_be_narrowed(NARROW, WIDE)
    assert not can_be_narrowed(WIDE, WIDE)
    assert not can_be_narrowed(WIDE, NARROW.model_copy(update={"latent": 2}))
    deeper = Residual(channels=(4,), hidden=7, encoder_blocks=2)
    assert not can_be_narrowed(WIDE, WIDE.model_copy(update={"network": deeper}))
