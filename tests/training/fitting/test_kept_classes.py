from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model_store.spec import MLP, Flow, ModelSpec
from model_store.vae import VAE
from training.config import Objective, load_preset
from training.data.images import Images
from training.fitting.kept_classes import Lessons, fit_encoder, hardest_images
from training.fitting.trainer import Trainer, initialise

FEW = Lessons(120, hard_images=16, hard=8, others=24, weight=30.0, learning_rate=3e-3)
OBJECTIVE = Objective(beta=1.0)


def halves(x: Tensor) -> Tensor:
    """Return logits of two classes: the left half is the brighter one, or the right half."""
    left, right = x[..., :14].mean(dim=(1, 2, 3)), x[..., 14:].mean(dim=(1, 2, 3))
    return 40 * torch.stack([left, right], dim=1)


@pytest.fixture(scope="module")
def images() -> Images:
    """Return images whose left half is bright, and 16 of 256 whose right half is."""
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60, (256, 1, 28, 28), generator=noise, dtype=torch.uint8)
    labels = torch.zeros(256, dtype=torch.long)
    labels[::16] = 1
    pixels[labels == 0, :, :, :14] += 150
    pixels[labels == 1, :, :, 14:] += 150
    return Images(pixels, labels)


@pytest.fixture
def vae(images: Images) -> VAE:
    """Return a VAE whose decoder knows both halves, and whose encoder takes right for left."""
    spec = ModelSpec(network=MLP(hidden=(16,)), latent=2, prior=Flow(couplings=2, hidden=8))
    vae = initialise(spec, seed=0)
    optimiser = load_preset("lab", {"optimiser.epochs": 40, "optimiser.batch_size": 16}).optimiser
    for _ in Trainer(vae, OBJECTIVE, optimiser, 0).fit(images, images):
        pass
    vae.eval()
    with torch.no_grad():
        left, _ = vae.posterior(images.batch(torch.tensor([1])))
        vae.to_mu.weight.mul_(0.0)
        vae.to_mu.bias.copy_(left[0])
    return vae


def kept(vae: VAE, images: Images) -> float:
    """Return the share of images whose class is that of their reconstruction."""
    x = images.batch(torch.arange(len(images)))
    with torch.no_grad():
        made = vae.mean_image(vae.logits(vae.posterior(x)[0]))
    return (halves(x).argmax(1) == halves(made).argmax(1)).double().mean().item()


def test_the_hardest_images_are_those_whose_class_changes(vae: VAE, images: Images) -> None:
    hard = hardest_images(vae, images, halves, 16)
    assert images.labels is not None
    assert images.labels[hard].tolist() == 16 * [1]


def test_reconstructions_keep_more_classes_afterwards(vae: VAE, images: Images) -> None:
    assert kept(vae, images) == pytest.approx(240 / 256)
    fit_encoder(vae, images, halves, OBJECTIVE, FEW, seed=0)
    assert kept(vae, images) == 1.0


def test_decoder_and_flow_stay_as_they_are(vae: VAE, images: Images) -> None:
    before = {name: weight.clone() for name, weight in vae.state_dict().items()}
    fit_encoder(vae, images, halves, OBJECTIVE, replace(FEW, steps=3), seed=0)
    changed = {k for k, weight in vae.state_dict().items() if not torch.equal(weight, before[k])}
    assert changed == {name for name in before if not name.startswith(("decoder.", "flow."))}


def test_few_images_are_all_hard(vae: VAE, images: Images) -> None:
    few = images.first(5)
    assert sorted(hardest_images(vae, few, halves, 16).tolist()) == [0, 1, 2, 3, 4]
