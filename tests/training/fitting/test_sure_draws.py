import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from model_store.spec import MLP, Flow, ModelSpec
from model_store.vae import VAE
from tests.training.conftest import call
from training.config import load_preset
from training.errors import SettingError
from training.fitting.prior import EncodedImages
from training.fitting.sure_draws import Rounds, fit_to_sure_draws
from training.fitting.trainer import initialise

IMAGES = 2000
FEW = Rounds(2, draws=4000, steps=200, encoded=64, sure=64, learning_rate=1e-2)


@pytest.fixture
def two_dimensions() -> VAE:
    """Return a VAE whose flow is the identity, so that it draws from N(0, I) in two dimensions."""
    spec = ModelSpec(network=MLP(hidden=(4,)), latent=2, prior=Flow(couplings=2, hidden=16))
    return initialise(spec, seed=0)


def sides(z: Tensor) -> Tensor:
    """Return class 0 left of 0 and class 1 right of it; -1 for not sure beyond one sigma."""
    return torch.where(z[:, 0].abs() > 1, -1, (z[:, 0] > 0).long())


def draws(vae: VAE) -> Tensor:
    u = torch.randn((20_000, 2), generator=torch.Generator().manual_seed(9))
    assert vae.flow is not None
    with torch.no_grad():
        return vae.flow.inverse(u)


@pytest.fixture
def shares(two_dimensions: VAE) -> tuple[list[float], list[float]]:
    """Return the shares of (unsure, left, right) among draws before and after a fit of two rounds."""
    noise = torch.Generator().manual_seed(1)
    narrow = torch.full((IMAGES, 2), -6.0)
    encoded = EncodedImages(torch.randn((IMAGES, 2), generator=noise), narrow, 0.0)
    before = draws(two_dimensions)
    wanted = torch.tensor([0.25, 0.75])
    fit_to_sure_draws(two_dimensions, encoded, sides, wanted, FEW, seed=3)
    return counted(before), counted(draws(two_dimensions))


def counted(z: Tensor) -> list[float]:
    return (torch.bincount(sides(z) + 1, minlength=3) / len(z)).tolist()


def test_fewer_draws_fall_where_the_classifier_is_not_sure(
    shares: tuple[list[float], list[float]],
) -> None:
    before, after = shares
    assert before[0] == pytest.approx(0.317, abs=0.02)  # P(|z| > 1) of N(0, 1)
    # half of each batch has variance 1, the other half, of N(0, 1) within one sigma, variance 0.29:
    # P(|z| > 1) of N(0, 0.65) is 0.21
    assert after[0] == pytest.approx(0.21, abs=0.04)


def test_wider_draws_make_the_flow_wider(two_dimensions: VAE) -> None:
    encoded = EncodedImages(torch.zeros(IMAGES, 2), torch.zeros(IMAGES, 2), 0.0)

    def classes(z: Tensor) -> Tensor:
        return (z[:, 0] > 0).long()

    few = replace(FEW, number=1, steps=800, encoded=1, sure=127, temperature=1.5)
    fit_to_sure_draws(two_dimensions, encoded, classes, torch.tensor([0.5, 0.5]), few, seed=3)
    # the classifier is sure of all draws of N(0, 1.5^2)
    assert draws(two_dimensions).std(dim=0).tolist() == pytest.approx([1.5, 1.5], abs=0.1)


def test_sure_draws_are_used_in_the_shares_of_the_classes(
    shares: tuple[list[float], list[float]],
) -> None:
    before, after = shares
    assert before[2] == pytest.approx(before[1], abs=0.02)
    assert after[2] > after[1] + 0.04  # a quarter left, three quarters right in half of each batch


def test_networks_other_than_the_flow_stay_as_they_are(two_dimensions: VAE) -> None:
    before = {k: v.clone() for k, v in two_dimensions.state_dict().items()}
    encoded = EncodedImages(torch.zeros(IMAGES, 2), torch.zeros(IMAGES, 2), 0.0)
    fit_to_sure_draws(two_dimensions, encoded, sides, torch.tensor([0.5, 0.5]), FEW, seed=3)
    changed = {k for k, v in two_dimensions.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(name.startswith("flow.") for name in changed)


@pytest.mark.parametrize(
    "label",
    [pytest.param(-1, id="never sure"), pytest.param(1, id="sure of a class without images")],
)
def test_a_flow_without_sure_draws_stays_as_it_is(two_dimensions: VAE, label: int) -> None:
    encoded = EncodedImages(torch.zeros(IMAGES, 2), torch.zeros(IMAGES, 2), 0.0)

    def classes(z: Tensor) -> Tensor:
        return torch.full((len(z),), label)

    before = {k: v.clone() for k, v in two_dimensions.state_dict().items()}
    shares = torch.tensor([1.0, 0.0])
    fit_to_sure_draws(two_dimensions, encoded, classes, shares, FEW, seed=3)
    assert all(torch.equal(v, before[k]) for k, v in two_dimensions.state_dict().items())


def test_judged_rounds_need_a_flow() -> None:
    with pytest.raises(SettingError, match=r"judged_rounds needs a model\.prior"):
        load_preset("lab", {"objective.judged_rounds": 3})


@pytest.mark.parametrize("key", ["judged_rounds", "judged_encoder_steps"])
def test_what_needs_a_judge_is_refused_before_training_without_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    for split, name in itertools.product(("train", "test"), ("left", "right")):
        folder = tmp_path / "sides" / split / name
        folder.mkdir(parents=True)
        for i in range(8):
            Image.new("L", (16, 16), i * 30).save(folder / f"{i}.png")
    preset = tmp_path / "judged.toml"
    preset.write_text(
        f"""
        summary = "judged"
        data = {{ dataset = "folder", folder = "{tmp_path}/sides" }}
        objective = {{ {key} = 1 }}
        [model]
        latent = 2
        upload = "resize"
        image = {{ channels = 1, height = 16, width = 16 }}
        network = {{ kind = "mlp" }}
        prior = {{ couplings = 2 }}
        """
    )
    command = ("train", "--preset", str(preset), "--store", str(tmp_path / "store"))
    assert call(*command, "--threads", "1") == 2
    assert f"objective.{key} needs a judge of the data set" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/checkpoint*"))
