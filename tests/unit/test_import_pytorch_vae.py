"""Networks of PyTorch-VAE are imported by the names and shapes of their tensors, and compute the same."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from model_store.__main__ import main
from model_store.graphs.network import GraphNetwork
from model_store.graphs.pair import DECODER, ENCODER
from model_store.spec import ModelRef, Onnx
from model_store.store import Store, StoredModel

SIZES = (4, 6, 6, 8, 10)
"""Channels of the five feature maps, 32x32 to 2x2; the published network has 32 to 512."""
LATENT = 5
State = dict[str, Tensor]


class VanillaVAE(nn.Module):
    """The network of models/vanilla_vae.py: its layers under its names, in evaluation mode."""

    def __init__(
        self, sizes: tuple[int, ...] = SIZES, latent: int = LATENT, colours: int = 3
    ) -> None:
        super().__init__()
        down = zip((colours, *sizes), sizes, strict=False)
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(c_in, c_out, 3, stride=2, padding=1),
                    nn.BatchNorm2d(c_out),
                    nn.LeakyReLU(),
                )
                for c_in, c_out in down
            )
        )
        self.fc_mu = nn.Linear(sizes[-1] * 4, latent)
        self.fc_var = nn.Linear(sizes[-1] * 4, latent)
        self.decoder_input = nn.Linear(latent, sizes[-1] * 4)
        up = sizes[::-1]
        blocks = [self.upward(*pair) for pair in pairwise(up)]
        self.decoder = nn.Sequential(*(nn.Sequential(*block) for block in blocks))
        last = nn.Conv2d(up[-1], colours, 3, padding=1)
        self.final_layer = nn.Sequential(*self.upward(up[-1], up[-1]), last, nn.Tanh())
        self.small = (sizes[-1], 2, 2)

    @staticmethod
    def upward(c_in: int, c_out: int) -> list[nn.Module]:
        up = nn.ConvTranspose2d(c_in, c_out, 3, stride=2, padding=1, output_padding=1)
        return [up, nn.BatchNorm2d(c_out), nn.LeakyReLU()]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.encoder(x).flatten(1)
        return self.fc_mu(features), self.fc_var(features)

    def decode(self, z: Tensor) -> Tensor:
        images: Tensor = self.final_layer(self.decoder(self.decoder_input(z).view(-1, *self.small)))
        return images


def network(
    sizes: tuple[int, ...] = SIZES,
    *,
    latent: int = LATENT,
    colours: int = 3,
    contrast: float = 8.0,
    brightness: float = 0.0,
) -> VanillaVAE:
    """Return a network with the statistics of a trained one.

    Pixels before tanh are spread around `brightness` in proportion to `contrast`.
    """
    torch.manual_seed(0)
    vae = VanillaVAE(sizes, latent, colours)
    state = vae.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            tensor.normal_(std=0.3)
            state[name.replace("running_mean", "bias")].normal_(std=0.3)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0)
            state[name.replace("running_var", "weight")].uniform_(0.5, 2.0)
    state["final_layer.3.weight"].mul_(contrast)
    state["final_layer.3.bias"].fill_(brightness)
    return vae.eval()


def arguments(folder: Path, state: State, *more: str) -> list[str]:
    safetensors.torch.save_file(
        {k: v.contiguous() for k, v in state.items()}, folder / "weights.safetensors"
    )
    return [
        "import", "--safetensors", str(folder / "weights.safetensors"), "--layout", "pytorch-vae",
        "--name", "mine", "--store", str(folder / "store"), *more,
    ]  # fmt: skip


def imported(folder: Path, state: State, *more: str) -> StoredModel:
    assert main(arguments(folder, state, *more)) == 0
    return Store(folder / "store").load(ModelRef.parse("mine@1"))


def graphs(stored: StoredModel) -> GraphNetwork:
    encoder, decoder = (stored.weights[name].tobytes() for name in (ENCODER, DECODER))
    return GraphNetwork(stored.spec, encoder, decoder)


def assert_same(stored: StoredModel, vae: VanillaVAE, *, signed: bool) -> None:
    """Compare encoder and decoder with those of torch, for images in [0, 1]."""
    x, z = torch.rand(3, *stored.spec.image.shape), torch.randn(4, stored.spec.latent)
    with torch.no_grad():
        posterior = vae.encode(2 * x - 1 if signed else x)
        images = (vae.decode(z) + 1) / 2 if signed else vae.decode(z).clip(0, 1)
    for result, expected in zip(graphs(stored).encode(x.numpy()), posterior, strict=True):
        np.testing.assert_allclose(result, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(graphs(stored).decode(z.numpy()), images.numpy(), atol=1e-5)
    assert images.std() > 0.02


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_the_network_for_faces_computes_what_it_does_in_torch(prefix: str, tmp_path: Path) -> None:
    vae = network()
    state = {prefix + name: tensor for name, tensor in vae.state_dict().items()}
    assert f"{prefix}encoder.0.1.num_batches_tracked" in state
    stored = imported(tmp_path, state)
    assert (stored.spec.image.shape, stored.spec.latent) == ((3, 64, 64), LATENT)
    assert isinstance(stored.spec.network, Onnx)
    assert_same(stored, vae, signed=True)


def test_sizes_are_those_of_the_tensors(tmp_path: Path) -> None:
    vae = network((3, 4), latent=2, colours=1)
    stored = imported(tmp_path, vae.state_dict(), "--pixels", "signed")
    assert (stored.spec.image.shape, stored.spec.latent) == ((1, 8, 8), 2)
    assert_same(stored, vae, signed=True)


def test_pixels_of_a_tanh_that_never_gives_dark_ones_are_from_0_to_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The repository trained on -1 to 1 at first, and trains on [0, 1] today; both networks end alike."""
    vae = network(contrast=1.0, brightness=0.5)
    stored = imported(tmp_path, vae.state_dict())
    assert "are taken to be in [0, 1]" in capsys.readouterr().out
    assert_same(stored, vae, signed=False)


def test_the_user_may_say_which_pixels_a_network_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dark, bright = network(), network(contrast=1.0, brightness=0.5)
    for vae, pixels, shown in ((dark, "unit", "[0, 1]"), (bright, "signed", "[-1, 1]")):
        folder = tmp_path / pixels
        folder.mkdir()
        stored = imported(folder, vae.state_dict(), "--pixels", pixels)
        assert f"are taken to be in {shown}" in capsys.readouterr().out
        assert_same(stored, vae, signed=pixels == "signed")


def test_card_and_output_say_that_it_is_served_in_float(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = imported(tmp_path, network().state_dict())
    assert "It is served in float" in capsys.readouterr().out
    assert stored.manifest.arithmetic == "float"
    card = Store(tmp_path / "store").card(stored.manifest.ref)
    assert "weights of the layout pytorch-vae, with pixels in [-1, 1]" in card
    assert "arithmetic: float" in card


def test_weights_in_half_precision_are_read(tmp_path: Path) -> None:
    vae = network().half().float()
    stored = imported(
        tmp_path, {k: v.half() if v.is_floating_point() else v for k, v in vae.state_dict().items()}
    )
    assert_same(stored, vae, signed=True)


def without(name: str, state: State) -> State:
    return {k: v for k, v in state.items() if k != name}


def test_weights_that_are_not_of_the_layout_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = network().state_dict()
    inverse = torch.full((4,), -1.0)
    for changed, reason in (
        ({"fc1.weight": torch.zeros(2, 2)}, "tensor encoder.0.0.weight is missing; the file has fc1.weight"),
        (without("fc_var.bias", state), "tensor fc_var.bias is missing"),
        (without("encoder.4.1.running_var", state), "tensor encoder.4.1.running_var is missing"),
        (without("encoder.2.0.weight", state), "fc_mu takes 40 features"),
        (state | {"fc_z.bias": torch.zeros(2)}, "tensor fc_z.bias is not part of the layout"),
        (state | {"encoder.0.0.weight": torch.zeros(4, 3, 4, 4)}, "expected (?, ?, 3, 3)"),
        (state | {"encoder.1.0.weight": torch.zeros(6, 5, 3, 3)}, "expected (?, 4, 3, 3)"),
        (state | {"decoder.0.0.weight": torch.zeros(9, 8, 3, 3)}, "expected (10, ?, 3, 3)"),
        (state | {"decoder_input.weight": torch.zeros(41, LATENT)}, "decoder_input.bias has the shape"),
        (state | {"fc_mu.weight": torch.zeros(LATENT, 0)}, "fc_mu.weight has the shape (5, 0)"),
        (state | {"encoder.0.1.running_var": inverse}, "encoder.0.1.running_var has values below 0"),
        (state | {"encoder.0.1.running_var": inverse * torch.nan}, "running_var has values below 0, or NaN"),
        (state | {"encoder.0.1.weight": torch.full((4,), torch.inf)}, "infin"),
        (state | {"final_layer.3.weight": torch.zeros(1, 4, 3, 3), "final_layer.3.bias": torch.zeros(1)},
         "expected images of (3, 64, 64)"),
    ):  # fmt: skip
        assert main(arguments(tmp_path, changed)) == 1, reason
        assert reason in capsys.readouterr().err
    assert Store(tmp_path / "store").names() == ()
